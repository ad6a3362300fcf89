// The steps of an LSTM and the clipped sum of its gradients, for x86-64 with AVX2 or AVX-512, in float32 and float64.
// Plain C functions, called with pointers from native.py, which checks shapes and types. Layouts are row by row.
// B texts of at most T tokens, E inputs, H hidden units, G = 4 H; text n has lengths[n] tokens, and rows beyond are not
// read. Every thread has texts, units or columns of its own, so that a result depends on nothing but their number.
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

// Of OpenMP's libraries, GNU's and LLVM's: run `work` in a team of so many threads, of which the caller is one.
extern "C" void GOMP_parallel(void (*work)(void*), void* data, unsigned threads, unsigned flags) __attribute__((weak));

namespace {

#if defined(__AVX512F__)
constexpr int BYTES = 64, COLUMNS = 4;  // of a vector; vectors of a tile's row: 24 sums, in 32 registers
#elif defined(__AVX2__)
constexpr int BYTES = 32, COLUMNS = 2;  // 12 sums, in 16 registers
#else
#error "compile with -mavx2 -mfma or -mavx512f"
#endif
constexpr int ROWS = 6;
constexpr int64_t TEXTS = 64;  // of a block: its weights are read from the nearest cache once for all of them

template <class S> struct Simd;
template <> struct Simd<float> {
  typedef float V __attribute__((vector_size(BYTES)));
  typedef float U __attribute__((vector_size(BYTES), aligned(4), may_alias));
  typedef int32_t I __attribute__((vector_size(BYTES)));
  static constexpr int TERMS = 8, MANTISSA = 23, BIAS = 127;
  static constexpr float LIMIT = 87.0f, ROUND = 0x1.8p23f, LN2_HIGH = 0x1.62ep-1f, LN2_LOW = 0x1.0bfbe8p-15f;
};
template <> struct Simd<double> {
  typedef double V __attribute__((vector_size(BYTES)));
  typedef double U __attribute__((vector_size(BYTES), aligned(8), may_alias));
  typedef int64_t I __attribute__((vector_size(BYTES)));
  static constexpr int TERMS = 14, MANTISSA = 52, BIAS = 1023;
  static constexpr double LIMIT = 708.0, ROUND = 0x1.8p52, LN2_HIGH = 0x1.62e42fefa38p-1, LN2_LOW = 0x1.ef35793c7673p-45;
};
template <class S> using Vec = typename Simd<S>::V;
template <class S> constexpr int64_t LANES = BYTES / sizeof(S);
template <class S> constexpr int64_t padded(int64_t n) { return (n + LANES<S> - 1) / LANES<S> * LANES<S>; }

template <class S> inline Vec<S> load(const S* p) { return *reinterpret_cast<const typename Simd<S>::U*>(p); }
template <class S> inline void store(S* p, Vec<S> v) { *reinterpret_cast<typename Simd<S>::U*>(p) = v; }
template <class S> inline Vec<S> all(S value) { return value - Vec<S>{}; }  // one load; 0 + value would be an addition, for -0

// The first k lanes; the others are zero, or stay as they are in memory.
#if defined(__AVX512F__)
inline Vec<float> load(const float* p, int64_t k) { return (Vec<float>)_mm512_maskz_loadu_ps((__mmask16)((1u << k) - 1), p); }
inline Vec<double> load(const double* p, int64_t k) { return (Vec<double>)_mm512_maskz_loadu_pd((__mmask8)((1u << k) - 1), p); }
inline void store(float* p, Vec<float> v, int64_t k) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << k) - 1), (__m512)v); }
inline void store(double* p, Vec<double> v, int64_t k) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << k) - 1), (__m512d)v); }
#else
inline __m256i lanes32(int64_t k) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)k), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
inline __m256i lanes64(int64_t k) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(k), _mm256_setr_epi64x(0, 1, 2, 3)); }
inline Vec<float> load(const float* p, int64_t k) { return (Vec<float>)_mm256_maskload_ps(p, lanes32(k)); }
inline Vec<double> load(const double* p, int64_t k) { return (Vec<double>)_mm256_maskload_pd(p, lanes64(k)); }
inline void store(float* p, Vec<float> v, int64_t k) { _mm256_maskstore_ps(p, lanes32(k), (__m256)v); }
inline void store(double* p, Vec<double> v, int64_t k) { _mm256_maskstore_pd(p, lanes64(k), (__m256d)v); }
#endif

// The highest 53 bits of random words, the first one inverted, as whole numbers; and square roots.
typedef uint64_t Words __attribute__((vector_size(BYTES)));
#if defined(__AVX512F__)
inline Vec<double> whole(Words words) { return __builtin_convertvector((words ^ (uint64_t(1) << 63)) >> 11, Vec<double>); }
inline Vec<double> root(Vec<double> v) { return (Vec<double>)_mm512_sqrt_pd((__m512d)v); }
#else
inline Vec<double> whole(Words words) {
  const Words bits = (words ^ (uint64_t(1) << 63)) >> 11, high = bits >> 32 | 0x4530000000000000, low = (bits & 0xffffffff) | 0x4330000000000000;
  return ((Vec<double>)high - 0x1.00000001p84) + (Vec<double>)low;
}
inline Vec<double> root(Vec<double> v) { return (Vec<double>)_mm256_sqrt_pd((__m256d)v); }
#endif

// A vector of float64 from numbers in S.
#if defined(__AVX512F__)
inline Vec<double> wide(const float* p) { return (Vec<double>)_mm512_cvtps_pd(_mm256_loadu_ps(p)); }
#else
inline Vec<double> wide(const float* p) { return (Vec<double>)_mm256_cvtps_pd(_mm_loadu_ps(p)); }
#endif
inline Vec<double> wide(const double* p) { return load(p); }

template <class S> struct Series {
  S term[Simd<S>::TERMS + 1];
  constexpr Series() : term{} {
    double factorial = 1;
    for (int i = 0; i <= Simd<S>::TERMS; i++, factorial *= i) term[i] = S(1 / factorial);
  }
};

// e^x = two + less, with two a power of two and less / two = e^r - 1 for a remainder |r| <= log(2) / 2, by Taylor's
// series: so e^x - 1 is accurate near zero. Beyond LIMIT, x counts as LIMIT; NaN stays NaN.
template <class S> inline std::pair<Vec<S>, Vec<S>> exponential(Vec<S> x) {
  using P = Simd<S>;
  constexpr Series<S> series;
  const S limit = P::LIMIT;
  x = x > limit ? all<S>(limit) : x;
  x = x < -limit ? all<S>(-limit) : x;
  const Vec<S> shifted = x * S(1.4426950408889634) + P::ROUND, n = shifted - P::ROUND;
  const Vec<S> r = (x - n * P::LN2_HIGH) - n * P::LN2_LOW;
  Vec<S> sum = all<S>(series.term[P::TERMS]);
#pragma GCC unroll 16
  for (int i = P::TERMS - 1; i >= 1; i--) sum = sum * r + series.term[i];
  const Vec<S> round = all<S>(P::ROUND);
  const Vec<S> two = (Vec<S>)(((typename P::I)shifted - (typename P::I)round + P::BIAS) << P::MANTISSA);
  return {two, two * (sum * r)};
}
template <class S> inline Vec<S> sigmoid(Vec<S> x) {
  const auto [two, less] = exponential<S>(-x);
  return S(1) / (S(1) + (two + less));
}
template <class S> inline Vec<S> tangent(Vec<S> x) {
  const auto [two, less] = exponential<S>(x + x);
  const Vec<S> less_one = less + (two - S(1));
  return less_one / (less_one + S(2));
}

// Ask for a row of n numbers to be in cache when it is used.
template <class S> inline void fetch(const S* row, int64_t n) {
  for (int64_t j = 0; j < n; j += 64 / sizeof(S)) _mm_prefetch(reinterpret_cast<const char*>(row + j), _MM_HINT_T1);
}

// C = A B, or C += A B, for ROWS rows or fewer and a few vectors of columns. A's element (i, k) is at i * ai + k * ak.
// B's rows are readable up to the end of the last vector; C's last vector has `last` columns.
template <class S, int M, int N>
inline void tile(int64_t depth, const S* a, int64_t ai, int64_t ak, const S* b, int64_t ldb, S* c, int64_t ldc, int64_t last, bool adds) {
  constexpr int64_t L = LANES<S>;
  Vec<S> sum[M][N];
#pragma GCC unroll 8
  for (int i = 0; i < M; i++)
#pragma GCC unroll 4
    for (int v = 0; v < N; v++)
      sum[i][v] = !adds ? Vec<S>{} : v == N - 1 && last < L ? load(c + i * ldc + v * L, last) : load(c + i * ldc + v * L);
  for (int64_t k = 0; k < depth; k++) {
    Vec<S> row[N];
#pragma GCC unroll 4
    for (int v = 0; v < N; v++) row[v] = load(b + k * ldb + v * L);
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) {
      const Vec<S> factor = all<S>(a[i * ai + k * ak]);
#pragma GCC unroll 4
      for (int v = 0; v < N; v++) sum[i][v] += factor * row[v];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; i++)
#pragma GCC unroll 4
    for (int v = 0; v < N; v++) {
      if (v == N - 1 && last < L) store(c + i * ldc + v * L, sum[i][v], last);
      else store(c + i * ldc + v * L, sum[i][v]);
    }
}
template <class S, int N>
void columns(int64_t rows, int64_t depth, const S* a, int64_t ai, int64_t ak, const S* b, int64_t ldb, S* c, int64_t ldc, int64_t last, bool adds) {
  int64_t i = 0;
  for (; i + ROWS <= rows; i += ROWS) tile<S, ROWS, N>(depth, a + i * ai, ai, ak, b, ldb, c + i * ldc, ldc, last, adds);
  a += i * ai, c += i * ldc;
  switch (rows - i) {
    case 5: return tile<S, 5, N>(depth, a, ai, ak, b, ldb, c, ldc, last, adds);
    case 4: return tile<S, 4, N>(depth, a, ai, ak, b, ldb, c, ldc, last, adds);
    case 3: return tile<S, 3, N>(depth, a, ai, ak, b, ldb, c, ldc, last, adds);
    case 2: return tile<S, 2, N>(depth, a, ai, ak, b, ldb, c, ldc, last, adds);
    case 1: return tile<S, 1, N>(depth, a, ai, ak, b, ldb, c, ldc, last, adds);
  }
}
template <class S>
void product(int64_t rows, int64_t width, int64_t depth, const S* a, int64_t ai, int64_t ak, const S* b, int64_t ldb, S* c, int64_t ldc, bool adds) {
  constexpr int64_t L = LANES<S>;
  const int64_t vectors = (width + L - 1) / L, groups = (vectors + COLUMNS - 1) / COLUMNS;
  for (int64_t group = 0, j = 0; group < groups; group++) {
    const int64_t wide = vectors / groups + (group < vectors % groups), last = std::min(L, width - j - (wide - 1) * L);
    switch (wide) {
      case 4: columns<S, COLUMNS>(rows, depth, a, ai, ak, b + j, ldb, c + j, ldc, last, adds); break;  // AVX-512 alone
      case 3: columns<S, (COLUMNS > 2 ? 3 : 2)>(rows, depth, a, ai, ak, b + j, ldb, c + j, ldc, last, adds); break;
      case 2: columns<S, 2>(rows, depth, a, ai, ak, b + j, ldb, c + j, ldc, last, adds); break;
      default: columns<S, 1>(rows, depth, a, ai, ak, b + j, ldb, c + j, ldc, last, adds);
    }
    j += wide * L;
  }
}

// Call work(part, begin, end) on `threads` parts of [0, count); return 1 if memory was short in one of them. They are run
// by the threads of the OpenMP library that torch has loaded: they wait for work in a loop for a while, in which threads
// of our own would have to share the cores with them. Without one, the caller does all parts.
template <class F> int split(int64_t count, int64_t threads, F work) {
  const int64_t parts = std::max<int64_t>(1, std::min(threads, count));
  std::atomic<int64_t> next{0};
  std::atomic<int> failed{0};
  auto run = [&] {
    for (int64_t i; (i = next++) < parts;) {
      try {
        work(i, count * i / parts, count * (i + 1) / parts);
      } catch (...) {
        failed = 1;
      }
    }
  };
  if (parts > 1 && GOMP_parallel) GOMP_parallel([](void* data) { (*static_cast<decltype(run)*>(data))(); }, &run, parts, 0);
  else run();
  return failed;
}

// How many of the block's texts, the first ones, contain all that have more than t tokens; they are best sorted.
struct Active {
  std::vector<int64_t> longest_after;  // [i]: the longest of texts i and later
  Active(const int64_t* lengths, int64_t texts) : longest_after(texts + 1, 0) {
    for (int64_t i = texts; i-- > 0;) longest_after[i] = std::max(longest_after[i + 1], lengths[i]);
  }
  int64_t at(int64_t t, int64_t texts) const {
    while (texts > 0 && longest_after[texts - 1] <= t) texts--;
    return texts;
  }
};

// gates [B, T, G]: projections of the inputs without the bias [G], replaced by the gates after their activation. hidden and
// cells [B, 1 + T, H].
template <class S>
int forward(S* gates, const S* weight, const S* bias, S* hidden, S* cells, const int64_t* lengths, int64_t B, int64_t T, int64_t H, int64_t threads) {
  constexpr int64_t L = LANES<S>;
  const int64_t G = 4 * H, Gp = padded<S>(G);
  std::vector<S> transposed(H * Gp, S(0));
  for (int64_t i = 0; i < G; i++)
    for (int64_t j = 0; j < H; j++) transposed[j * Gp + i] = weight[i * H + j];
  return split(B, threads, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += TEXTS) {
      const int64_t texts = std::min(TEXTS, end - first);
      const Active active(lengths + first, texts);
      S *g = gates + first * T * G, *h = hidden + first * (T + 1) * H, *c = cells + first * (T + 1) * H;
      for (int64_t i = 0; i < texts; i++) {
        std::fill_n(h + i * (T + 1) * H, H, S(0));
        std::fill_n(c + i * (T + 1) * H, H, S(0));
        const int64_t length = lengths[first + i];
        std::fill_n(h + (i * (T + 1) + 1 + length) * H, (T - length) * H, S(0));
      }
      for (int64_t t = 0; t < T; t++) {
        const int64_t now = active.at(t, texts);
        product<S>(now, G, H, h + t * H, (T + 1) * H, 1, transposed.data(), Gp, g + t * G, T * G, true);
        for (int64_t i = 0; i < now; i++) {
          if (lengths[first + i] <= t) continue;
          if (t + 1 < lengths[first + i]) fetch(g + (i * T + t + 1) * G, G);
          S *a = g + (i * T + t) * G, *next = h + (i * (T + 1) + t + 1) * H, *cell = c + (i * (T + 1) + t) * H;
          for (int64_t j = 0; j < H; j += L) {
            const int64_t k = std::min(L, H - j);
            auto activation = [&](int64_t gate) { return load(a + gate * H + j, k) + load(bias + gate * H + j, k); };
            const Vec<S> in = sigmoid<S>(activation(0)), forget = sigmoid<S>(activation(1));
            const Vec<S> candidate = tangent<S>(activation(2)), out = sigmoid<S>(activation(3));
            const Vec<S> kept = forget * load(cell + j, k) + in * candidate;
            store(a + j, in, k), store(a + H + j, forget, k), store(a + 2 * H + j, candidate, k), store(a + 3 * H + j, out, k);
            store(cell + H + j, kept, k), store(next + j, out * tangent<S>(kept), k);
          }
        }
      }
    }
  });
}

// gates [B, T, G] are replaced by the gradient with respect to the projections, from that of the states after each step,
// d_hidden [B, T, H]; zero beyond a text's end.
template <class S>
int backward(S* gates, const S* weight, const S* cells, const S* d_hidden, const int64_t* lengths, int64_t B, int64_t T, int64_t H, int64_t threads) {
  constexpr int64_t L = LANES<S>;
  const int64_t G = 4 * H, Hp = padded<S>(H);
  std::vector<S> rows(G * Hp, S(0));
  for (int64_t i = 0; i < G; i++) std::copy_n(weight + i * H, H, rows.data() + i * Hp);
  return split(B, threads, [&](int64_t, int64_t begin, int64_t end) {
    std::vector<S> to_hidden(TEXTS * Hp), to_cell(TEXTS * Hp);
    for (int64_t first = begin; first < end; first += TEXTS) {
      const int64_t texts = std::min(TEXTS, end - first);
      const Active active(lengths + first, texts);
      std::fill(to_hidden.begin(), to_hidden.end(), S(0));
      std::fill(to_cell.begin(), to_cell.end(), S(0));
      S* g = gates + first * T * G;
      for (int64_t i = 0; i < texts; i++) {
        const int64_t length = lengths[first + i];
        std::fill_n(g + (i * T + length) * G, (T - length) * G, S(0));
      }
      for (int64_t t = T - 1; t >= 0; t--) {
        const int64_t now = active.at(t, texts);
        for (int64_t i = 0; i < now; i++) {
          if (lengths[first + i] <= t) continue;
          if (t > 0) fetch(g + (i * T + t - 1) * G, G);
          S *a = g + (i * T + t) * G, *dh = to_hidden.data() + i * Hp, *dc = to_cell.data() + i * Hp;
          const S *cell = cells + ((first + i) * (T + 1) + t) * H, *given = d_hidden + ((first + i) * T + t) * H;
          for (int64_t j = 0; j < H; j += L) {
            const int64_t k = std::min(L, H - j);
            const Vec<S> in = load(a + j, k), forget = load(a + H + j, k), candidate = load(a + 2 * H + j, k), out = load(a + 3 * H + j, k);
            const Vec<S> d = load(dh + j) + load(given + j, k), active_cell = tangent<S>(load(cell + H + j, k));
            const Vec<S> d_cell = load(dc + j) + d * out * (S(1) - active_cell * active_cell);
            store(a + j, d_cell * candidate * in * (S(1) - in), k);
            store(a + H + j, d_cell * load(cell + j, k) * forget * (S(1) - forget), k);
            store(a + 2 * H + j, d_cell * in * (S(1) - candidate * candidate), k);
            store(a + 3 * H + j, d * active_cell * out * (S(1) - out), k);
            store(dc + j, d_cell * forget);
          }
        }
        if (t > 0) product<S>(now, H, G, g + t * G, T * G, 1, rows.data(), Hp, to_hidden.data(), Hp, false);
      }
    }
  });
}

// Sums over units, in float64, of the gradients of [input weights, recurrent weights, bias], each scaled to `bound`.
// A unit has `each` texts. Its gradient is formed in cache; the bias is a column whose input is 1, counted `biases` times.
// squares [units] holds the squared norm of the unit's other gradients; factors [units] is the result, 0 if not finite.
template <class S>
int clip(const S* delta, const S* inputs, const S* hidden, const int64_t* lengths, const double* squares, double* sum_inputs,
         double* sum_hidden, double* sum_bias, double* factors, int64_t units, int64_t each, int64_t T, int64_t E, int64_t H,
         int64_t biases, double gain, double bound, int64_t threads) {
  constexpr int64_t L = LANES<double>;
  const int64_t G = 4 * H, K = E + H + 1, Kp = padded<S>(K);
  const int64_t parts = std::max<int64_t>(1, std::min(threads, units));
  std::vector<std::vector<double>> sums(parts);
  const int failed = split(units, threads, [&](int64_t part, int64_t begin, int64_t end) {
    std::vector<S> formed(G * Kp), z(T * Kp, S(0));
    std::vector<double>& sum = sums[part];
    sum.assign(G * Kp, 0.0);
    for (int64_t unit = begin; unit < end; unit++) {
      for (int64_t r = 0; r < each; r++) {
        const int64_t n = unit * each + r, length = lengths[n];
        for (int64_t t = 0; t < length; t++) {
          std::memcpy(z.data() + t * Kp, inputs + (n * T + t) * E, E * sizeof(S));
          std::memcpy(z.data() + t * Kp + E, hidden + (n * (T + 1) + t) * H, H * sizeof(S));
          z[t * Kp + E + H] = S(1);
          fetch(delta + (n * T + t) * G, G);  // it is read column by column below
        }
        product<S>(G, Kp, length, delta + n * T * G, 1, G, z.data(), Kp, formed.data(), Kp, r > 0);
      }
      Vec<double> total[4] = {};
      int64_t i = 0;
      const int64_t elements = G * Kp;
      for (; i + 4 * L <= elements; i += 4 * L)
        for (int v = 0; v < 4; v++) {
          const Vec<double> w = wide(formed.data() + i + v * L);
          total[v] += w * w;
        }
      double square = 0, of_bias = 0;
      for (; i < elements; i++) square += double(formed[i]) * double(formed[i]);
      for (int v = 0; v < 4; v++)
        for (int64_t lane = 0; lane < L; lane++) square += total[v][lane];
      for (int64_t row = 0; row < G; row++) of_bias += double(formed[row * Kp + K - 1]) * double(formed[row * Kp + K - 1]);
      const double norm = std::sqrt(gain * gain * (square + double(biases - 1) * of_bias) + squares[unit]);
      factors[unit] = std::isfinite(norm) ? std::min(1.0, bound / norm) : 0.0;
      if (!std::isfinite(norm)) continue;
      const Vec<double> scale = all<double>(factors[unit] * gain);
      for (i = 0; i + L <= elements; i += L) store(sum.data() + i, load(sum.data() + i) + scale * wide(formed.data() + i));
      for (; i < elements; i++) sum[i] += scale[0] * double(formed[i]);
    }
  });
  if (failed) return failed;
  for (const auto& sum : sums)
    for (int64_t row = 0; row < G; row++) {
      const double* from = sum.data() + row * Kp;
      for (int64_t j = 0; j < E; j++) sum_inputs[row * E + j] += from[j];
      for (int64_t j = 0; j < H; j++) sum_hidden[row * H + j] += from[E + j];
      sum_bias[row] += from[K - 1];
    }
  return 0;
}

// Squared norms [units] of the gradients of an embedding, from those of its outputs [units, R, E] at words [units, R]:
// a word that a unit has twice has one row, the sum of both.
template <class S>
int word_squares(const S* delta, const int64_t* words, double* squares, int64_t units, int64_t R, int64_t E, int64_t threads) {
  return split(units, threads, [&](int64_t, int64_t begin, int64_t end) {
    std::vector<std::pair<int64_t, int64_t>> places(R);
    std::vector<double> row(E);
    for (int64_t unit = begin; unit < end; unit++) {
      for (int64_t r = 0; r < R; r++) places[r] = {words[unit * R + r], r};
      std::sort(places.begin(), places.end());
      double square = 0;
      for (int64_t r = 0; r < R;) {
        std::fill(row.begin(), row.end(), 0.0);
        for (const int64_t word = places[r].first; r < R && places[r].first == word; r++) {
          const S* from = delta + (unit * R + places[r].second) * E;
          for (int64_t j = 0; j < E; j++) row[j] += double(from[j]);
        }
        double of_row = 0;
        for (int64_t j = 0; j < E; j++) of_row += row[j] * row[j];
        square += of_row;
      }
      squares[unit] = square;
    }
  });
}

// Add factors [units] times the gradients to sums [V, E], but for units whose factor is 0. A thread has columns of its own.
template <class S>
int add_words(const S* delta, const int64_t* words, const double* factors, double* sums, int64_t units, int64_t R, int64_t E, int64_t threads) {
  return split(E, threads, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t unit = 0; unit < units; unit++) {
      const double factor = factors[unit];
      if (factor == 0) continue;
      for (int64_t r = unit * R; r < (unit + 1) * R; r++) {
        double* to = sums + words[r] * E;
        for (int64_t j = begin; j < end; j++) to[j] += factor * double(delta[r * E + j]);
      }
    }
  });
}

// The natural logarithm of m 2^-53, for whole numbers m from 1 to 2^53, to half a unit in the last place and a bit: that
// of the fraction f in [sqrt(1/2), sqrt(2)) is 2 artanh(s) for s = (f - 1) / (f + 1), by the polynomial of fdlibm's e_log.c.
inline Vec<double> logarithm(Vec<double> m) {
  using I = Simd<double>::I;
  const I from_root = (I)m - 0x3fe6a09e667f3bcd;  // the bits of sqrt(1/2), so that the exponent is rounded there
  const I exponent = (I)((Words)(from_root + (int64_t(1) << 62)) >> 52);
  const Vec<double> e = (Vec<double>)(exponent + 0x4338000000000000) - (0x1.8p52 + 1024 + 53);
  const Vec<double> f = (Vec<double>)((I)m - (from_root & int64_t(0xfff0000000000000))) - 1.0;
  const Vec<double> s = f / (2.0 + f), z = s * s, w = z * z, half = 0.5 * f * f;
  const Vec<double> even = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332));
  const Vec<double> odd = z * (0.6666666666666735130 + w * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591)));
  return e * Simd<double>::LN2_HIGH - ((half - (s * (half + (even + odd)) + e * Simd<double>::LN2_LOW)) - f);
}

// Cosine and sine of 2 pi u for u in [-1/2, 1/2): u less the nearest quarter is exact, and fdlibm's k_cos.c and k_sin.c
// are for what is left.
inline std::pair<Vec<double>, Vec<double>> direction(Vec<double> u) {
  using I = Simd<double>::I;
  const Vec<double> shifted = 4.0 * u + 0x1.8p52, n = shifted - 0x1.8p52;
  const I quarter = (I)shifted;
  const Vec<double> x = 6.283185307179586477 * (u - 0.25 * n), z = x * x;
  const Vec<double> sine = x + x * z * (-1.66666666666666324348e-1 + z * (8.33333333332248946124e-3 + z * (-1.98412698298579493134e-4 +
                           z * (2.75573137070700676789e-6 + z * (-2.50507602534068634195e-8 + z * 1.58969099521155010221e-10)))));
  const Vec<double> cosine = 1.0 - (0.5 * z - z * z * (4.16666666666666019037e-2 + z * (-1.38888888888741095749e-3 + z * (2.48015872894767294178e-5 +
                             z * (-2.75573143513906633035e-7 + z * (2.08757232129817482790e-9 + z * -1.13596475577881948265e-11))))));
  const I swaps = -(quarter & 1);
  const I to_cosine = (swaps & (I)sine) | (~swaps & (I)cosine), to_sine = (swaps & (I)cosine) | (~swaps & (I)sine);
  constexpr int64_t sign = INT64_MIN;
  return {(Vec<double>)(to_cosine ^ (((quarter + 1) << 62) & sign)), (Vec<double>)(to_sine ^ ((quarter << 62) & sign))};
}

// Standard Gaussians out [2, n] from random words [2, 4, n]: half the sum of four of Box and Muller's transform; words
// [0] give their radii, words [1] their angles, and rows 0 and 1 of `out` are cosines and sines of the same angles.
int gaussians(double* out, const double* words, int64_t n, int64_t threads) {
  constexpr int64_t L = LANES<double>;
  return split((n + L - 1) / L, threads, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t j = begin * L; j < std::min(n, end * L); j += L) {
      const int64_t k = std::min(L, n - j);
      Vec<double> cosines = {}, sines = {};
      for (int64_t i = 0; i < 4; i++) {
        const Vec<double> first = whole((Words)load(words + i * n + j, k)), second = whole((Words)load(words + (4 + i) * n + j, k));
        const Vec<double> radius = root(-2.0 * logarithm(0x1p53 - first));
        const auto [cosine, sine] = direction(0x1p-53 * second - 0.5);
        cosines += radius * cosine, sines += radius * sine;
      }
      store(out + j, 0.5 * cosines, k), store(out + n + j, 0.5 * sines, k);
    }
  });
}

}  // namespace

#define DEFINE(S, NAME)                                                                                                        \
  int lstm_forward_##NAME(S* gates, const S* weight, const S* bias, S* hidden, S* cells, const int64_t* lengths, int64_t B,    \
                          int64_t T, int64_t H, int64_t threads) {                                                             \
    return forward<S>(gates, weight, bias, hidden, cells, lengths, B, T, H, threads);                                          \
  }                                                                                                                            \
  int lstm_backward_##NAME(S* gates, const S* weight, const S* cells, const S* d_hidden, const int64_t* lengths, int64_t B,    \
                           int64_t T, int64_t H, int64_t threads) {                                                            \
    return backward<S>(gates, weight, cells, d_hidden, lengths, B, T, H, threads);                                             \
  }                                                                                                                            \
  int lstm_clip_##NAME(const S* delta, const S* inputs, const S* hidden, const int64_t* lengths, const double* squares,        \
                       double* sum_inputs, double* sum_hidden, double* sum_bias, double* factors, int64_t units, int64_t each, \
                       int64_t T, int64_t E, int64_t H, int64_t biases, double gain, double bound, int64_t threads) {          \
    return clip<S>(delta, inputs, hidden, lengths, squares, sum_inputs, sum_hidden, sum_bias, factors, units, each, T, E, H,   \
                   biases, gain, bound, threads);                                                                              \
  }                                                                                                                            \
  int word_squares_##NAME(const S* delta, const int64_t* words, double* squares, int64_t units, int64_t R, int64_t E,          \
                          int64_t threads) {                                                                                   \
    return word_squares<S>(delta, words, squares, units, R, E, threads);                                                       \
  }                                                                                                                            \
  int add_words_##NAME(const S* delta, const int64_t* words, const double* factors, double* sums, int64_t units, int64_t R,    \
                       int64_t E, int64_t threads) {                                                                           \
    return add_words<S>(delta, words, factors, sums, units, R, E, threads);                                                    \
  }

extern "C" {
DEFINE(float, float32)
DEFINE(double, float64)
int gaussians_float64(double* out, const double* words, int64_t n, int64_t threads) { return gaussians(out, words, n, threads); }
}
