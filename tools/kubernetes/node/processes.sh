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
stop() { # name...: asks all, and insists after three seconds: nothing in a node outlives it, and the kubelet takes its time
  local each end=$((SECONDS + 3))
  for each; do ! is_running "$each" || kill "$(id_of "$each")"; done
  for each; do
    while is_running "$each" && ((SECONDS < end)); do sleep 0.1; done
    ! is_running "$each" || kill -9 -- "-$(id_of "$each")"
    rm -f "run/processes/$each"
  done
}
id_of() { # name
  cut -d' ' -f1 "run/processes/$1"
}
