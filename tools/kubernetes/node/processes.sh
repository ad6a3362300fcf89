# Sourced by up.sh and down.sh, in the node's state folder: processes by the id and start time that were recorded of them.

name_of() { # of the node's network namespace and cgroup: one for each state folder
  printf 'privatekube-%s' "$(printf %s "$1" | sha256sum | cut -c1-8)"
}
cgroups() { # the folder of the node's cgroup, in each hierarchy
  local each
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo "/sys/fs/cgroup/$name"
    return
  fi
  for each in /sys/fs/cgroup/*/; do [ ! -e "$each/cgroup.procs" ] || [[ $each == */unified/ ]] || echo "$each$name"; done
}
started_at() { # in the clock ticks that tell a process from a later one of the same id
  sed -E 's/.*\) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}
start() { # name command...: outside the namespace
  local what=$1
  shift
  setsid "$@" >"logs/$what.log" 2>&1 </dev/null &
  echo "$! $(started_at $!)" >"run/processes/$what"
}
start_inside() { # name command...: in the node's network namespace only; containerd's and the kubelet's mounts are shared
  local what=$1
  shift
  start "$what" nsenter --net="/run/netns/$name" "$@"
}
is_running() { # name
  local id since
  [ -e "run/processes/$1" ] || return 1
  read -r id since <"run/processes/$1"
  [ "$(started_at "$id")" = "$since" ] && [ -n "$since" ]
}
stop() { # name...: asks, waits ten seconds, then insists
  local what id i
  for what; do
    if is_running "$what"; then
      id=$(cut -d' ' -f1 "run/processes/$what")
      kill "$id"
      for ((i = 0; i < 100; i++)); do is_running "$what" || break; sleep 0.1; done
      ! is_running "$what" || kill -9 -- "-$id"
    fi
    rm -f "run/processes/$what"
  done
}
