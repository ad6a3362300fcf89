#!/bin/sh
# Installs a part of requirements.txt into /opt/privatekube and leaves nothing else: a RUN of the Dockerfile for each part.
#
#   install.sh cuda|others|torch   in this order; with TORCH_INDEX, torch and CUDA both come from there, as "torch"
#
# An engine holds a layer three times while it stores it: all of this in one, 5.5 GB, needs 17 GB of disk.
set -eu
cd /opt/privatekube
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools/venv"
of_cuda='/^(nvidia|cuda)-/' of_torch='/^(torch|triton)==/'
case $1 in
  cuda) chosen=$of_cuda ;;
  others) chosen="!($of_cuda || $of_torch)" ;;
  torch) chosen=$of_torch ;;
esac
awk "/^[a-z]/ {chosen = $chosen} chosen" requirements.txt >"$tools/chosen.txt"
pip="$tools/venv/bin/pip --python /opt/privatekube/bin/python3"
install="$pip install --quiet --no-cache-dir --only-binary :all:"
if [ "$1" = others ] || [ -z "${TORCH_INDEX:-}" ]; then
  $install --no-deps --require-hashes --requirement "$tools/chosen.txt"
elif [ "$1" = torch ]; then
  $install --index-url "$TORCH_INDEX" "$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt)"
fi
[ "$1" != torch ] || $pip check
