# Sourced by up.sh and down.sh in the node's state folder: processes by their recorded id and start time.

name_of() { # folder: the name of the network namespace and cgroup of the node with this state folder
  printf 'privatekube-%s' "$(printf %s "$1" | sha256sum | cut -c1-8)"
}
cgroups() { # the folder of the node's cgroup in each hierarchy
  local hierarchy
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo "/sys/fs/cgroup/$name"
    return
  fi
  for hierarchy in /sys/fs/cgroup/*/; do
    [ ! -e "$hierarchy/cgroup.procs" ] || [[ $hierarchy == */unified/ ]] || echo "$hierarchy$name"
  done
}
started_at() { # id: start time in clock ticks, which distinguishes a process from a later one with the same id
  sed -E 's/.*\) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}
start() { # name command...: outside the namespace
  local process=$1
  shift
  setsid "$@" >"logs/$process.log" 2>&1 </dev/null &
  echo "$! $(started_at $!)" >"run/processes/$process"
}
start_inside() { # name command...: in the node's network namespace; mounts are shared with the machine
  local process=$1
  shift
  start "$process" nsenter --net="/run/netns/$name" "$@"
}
is_running() { # name
  local id since
  [ -e "run/processes/$1" ] || return 1
  read -r id since <"run/processes/$1"
  [ "$(started_at "$id")" = "$since" ] && [ -n "$since" ]
}
stop() { # name...: terminates all and kills the rest after three seconds, such as the kubelet, which is slow to stop
  local process end=$((SECONDS + 3))
  for process; do ! is_running "$process" || kill "$(id_of "$process")"; done
  for process; do
    while is_running "$process" && ((SECONDS < end)); do sleep 0.1; done
    ! is_running "$process" || kill -9 -- "-$(id_of "$process")"
    rm -f "run/processes/$process"
  done
}
id_of() { # name
  cut -d' ' -f1 "run/processes/$1"
}
