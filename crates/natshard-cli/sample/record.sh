#!/usr/bin/env bash
# Records the sample capture: real programs on hosts in network namespaces, behind a router that
# does not translate, captured on the router's inside interface.
#
#   record.sh [--quick] OUT.pcapng
#
# Records ten minutes in three sittings, so that sessions time out and ports are used again between
# them; --quick records one of 15 seconds. Root only. Everything (hosts, links, daemons,
# their files, the host name) lives in namespaces of this script's own and ends with it, also on an
# error or a kill; nothing of the machine's network or files is changed or shows in the capture.
set -euo pipefail

packages="iproute2 ethtool tshark wireshark-common curl openssl nginx-light dnsmasq-base bind9-dnsutils
traceroute iputils-ping iputils-tracepath openssh-server openssh-client rsync tftpd-hpa vsftpd
netcat-openbsd mosquitto mosquitto-clients chrony"

die() { echo "record.sh: $*" >&2; exit 1; }

if [ -z "${RECORD_INNER:-}" ]; then
  quick=0
  if [ "${1:-}" = --quick ]; then quick=1; shift; fi
  [ $# -eq 1 ] || { echo "usage: record.sh [--quick] OUT.pcapng" >&2; exit 2; }
  [ "$(id -u)" -eq 0 ] || { echo "record.sh: needs root to make network namespaces" >&2; exit 5; }
  export PATH="$PATH:/usr/sbin:/sbin"
  for program in ip ethtool dumpcap editcap curl openssl nginx dnsmasq dig traceroute ping tracepath \
    sshd ssh scp rsync in.tftpd vsftpd nc mosquitto mosquitto_sub mosquitto_pub chronyd; do
    command -v "$program" >/dev/null || die "no $program; apt-get install $packages"
  done
  work=$(mktemp -d)
  child=
  # All of it dies with `unshare`, which has the first process of its namespace killed.
  trap '[ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true; rm -rf "$work"' EXIT
  trap 'exit 143' INT TERM HUP
  RECORD_INNER=$work RECORD_QUICK=$quick unshare --mount --pid --net --uts --ipc --fork --kill-child \
    --mount-proc bash "$(readlink -f "$0")" &
  child=$!
  wait "$child" || die "failed; see above"
  child=
  mv "$work/sample.pcapng" "$1"
  exit 0
fi

work=$RECORD_INNER
quick=$RECORD_QUICK
# The programs run as root: they see every file of the machine read-only but those of this run.
mount --make-rprivate /
mount --bind "$work" "$work"
mount --bind /dev /dev
mount -o remount,bind,ro /dev
mount -o remount,bind,ro /
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/sshd /run/empty
hostname sample
chmod 755 "$work"

# --- The network ----------------------------------------------------------------------------------
#
#   alice bob carol dave erin           web infra files
#        \  |   |   /   /                  \   |   /
#          LAN bridge -- router -- isp ---- core
#                  ^ captured here     MTU 1400
#
# Outside addresses are the benchmarking prefixes, 198.18.0.0/15 and 2001:2::/48.
serial=0

# link NS IF NS IF: a cable with fixed, locally administered hardware addresses and no offloads, so
# that every checksum is on the wire and no segment is larger than a frame.
link() {
  serial=$((serial + 1))
  local mac
  mac=$(printf '02:00:00:00:%02x' "$serial")
  ip link add "$2" netns "$1" address "$mac:01" type veth peer name "$4" netns "$3" address "$mac:02"
  local end
  for end in "$1 $2" "$3 $4"; do
    set -- $end
    ip netns exec "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null
    ip -n "$1" link set "$2" up
  done
}

on() { local ns=$1; shift; ip netns exec "$ns" "$@"; }

for ns in lan rtr isp core alice bob carol dave erin web infra files; do
  ip netns add "$ns"
  on "$ns" sysctl -qw net.ipv4.ip_forward=0 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 \
    net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
    net.ipv6.conf.default.accept_ra=0
  ip -n "$ns" link set lo up
done
for ns in rtr isp core; do
  on "$ns" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
done

bridge() { ip -n "$1" link add br0 address "$2" type bridge; ip -n "$1" link set br0 up; }
plug() { # plug BRIDGE_NS NS IF: NS gets IF, plugged into the bridge
  link "$2" "$3" "$1" "p-$2"
  ip -n "$1" link set "p-$2" master br0
}
addr() { # addr NS IF ADDRESS...
  local ns=$1 dev=$2 a; shift 2
  for a in "$@"; do
    case $a in *:*) ip -n "$ns" addr add "$a" dev "$dev" nodad ;; *) ip -n "$ns" addr add "$a" dev "$dev" ;; esac
  done
}

bridge lan 02:00:00:00:fe:01
plug lan rtr inside
addr rtr inside 10.0.0.1/24 192.168.20.1/24 100.64.0.1/22 fd00:10::1/64
host() { # host NS IPv4/LEN GATEWAY [IPv6]
  plug lan "$1" eth0
  if [ "$2" != - ]; then addr "$1" eth0 "$2"; ip -n "$1" route add default via "$3"; fi
  if [ -n "${4:-}" ]; then addr "$1" eth0 "$4"; ip -n "$1" route add default via fd00:10::1; fi
}
host alice 10.0.0.11/24 10.0.0.1 fd00:10::11/64
host bob 10.0.0.12/24 10.0.0.1 fd00:10::12/64
host carol 192.168.20.21/24 192.168.20.1
host dave 100.64.2.31/22 100.64.0.1
host erin - - fd00:10::41/64

link rtr outside isp customer
addr rtr outside 198.18.0.2/30 2001:2:0:ff::2/64
addr isp customer 198.18.0.1/30 2001:2:0:ff::1/64
ip -n rtr route add default via 198.18.0.1
ip -n rtr route add default via 2001:2:0:ff::1
link isp core core isp
addr isp core 198.18.0.5/30 2001:2:0:fe::1/64
addr core isp 198.18.0.6/30 2001:2:0:fe::2/64
ip -n isp link set core mtu 1400
ip -n core link set isp mtu 1400
ip -n isp route add 198.18.1.0/24 via 198.18.0.6
ip -n isp route add 2001:2:0:1::/64 via 2001:2:0:fe::2
for prefix in 10.0.0.0/24 192.168.20.0/24 100.64.0.0/22 fd00:10::/64; do
  case $prefix in
    *:*) ip -n isp route add $prefix via 2001:2:0:ff::2; ip -n core route add $prefix via 2001:2:0:fe::1 ;;
    *) ip -n isp route add $prefix via 198.18.0.2; ip -n core route add $prefix via 198.18.0.5 ;;
  esac
done
ip -n core route add default via 198.18.0.5
ip -n core route add default via 2001:2:0:fe::1
# Places that answer with an ICMP error, or not at all.
ip -n isp route add blackhole 198.18.66.0/24
ip -n isp route add prohibit 198.18.67.0/24
ip -n isp route add unreachable 198.18.68.0/24
ip -n isp route add unreachable 2001:2:0:68::/64

bridge core 02:00:00:00:fe:02
addr core br0 198.18.1.1/24 2001:2:0:1::1/64
server() { # server NS LAST: 198.18.1.LAST and 2001:2:0:1::LAST
  plug core "$1" eth0
  addr "$1" eth0 "198.18.1.$2/24" "2001:2:0:1::$2/64"
  ip -n "$1" route add default via 198.18.1.1
  ip -n "$1" route add default via 2001:2:0:1::1
}
server web 80
server infra 53
server files 21

# --- The servers ----------------------------------------------------------------------------------

printf 'nameserver 198.18.1.53\nnameserver 2001:2:0:1::53\noptions timeout:2\n' >"$work/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$work/hosts"
mount --bind "$work/resolv.conf" /etc/resolv.conf
mount --bind "$work/hosts" /etc/hosts

mkdir -p "$work/www" "$work/log"
text() { seq -f 'line %06g of a file that nobody reads' 1 400000 | head -c "$1" || true; }
text 700 >"$work/www/index.html"
text 2100 >"$work/www/style.css"
text 4200 >"$work/www/picture"
text 20000 >"$work/www/download"
text 12000 >"$work/upload"
chmod -R a+rX "$work/www"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=www.example.org \
  -addext subjectAltName=DNS:www.example.org -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
cat >"$work/nginx.conf" <<EOF
daemon off; worker_processes 1; user root; pid $work/nginx.pid; error_log $work/log/nginx warn;
events { worker_connections 256; }
http {
  access_log off; keepalive_timeout 30; default_type text/plain;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server {
    listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;
    ssl_certificate $work/tls.crt; ssl_certificate_key $work/tls.key; root $work/www;
    location /moved { return 302 /index.html; }
    location /upload { client_max_body_size 1m; proxy_pass http://127.0.0.1:8; }
  }
}
EOF
cat >"$work/sshd.conf" <<EOF
HostKey $work/host_key
PidFile none
AuthorizedKeysFile $work/user_key.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PrintMotd no
Subsystem sftp internal-sftp
EOF
ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/host_key"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/user_key"
cat >"$work/vsftpd.conf" <<EOF
listen=NO
listen_ipv6=YES
background=NO
anonymous_enable=YES
local_enable=NO
anon_root=$work/www
secure_chroot_dir=/run/empty
hide_ids=YES
isolate=NO
isolate_network=NO
seccomp_sandbox=NO
xferlog_enable=NO
EOF
printf 'pid file = %s\nuse chroot = no\nuid = root\ngid = root\n[www]\npath = %s\nread only = yes\n' \
  "$work/rsyncd.pid" "$work/www" >"$work/rsyncd.conf"
printf 'listener 1883\nallow_anonymous true\npersistence false\nuser root\nlog_dest none\n' >"$work/mosquitto.conf"
printf 'local stratum 3\nallow all\ncmdport 0\nbindcmdaddress /\npidfile %s\nuser root\n' "$work/chronyd.pid" \
  >"$work/chrony.conf"

daemon() { local ns=$1 name=$2; shift 2; on "$ns" "$@" >"$work/log/$name.out" 2>&1 </dev/null & }
daemon web nginx nginx -c "$work/nginx.conf"
daemon infra dnsmasq dnsmasq -k -C /dev/null -u root --no-resolv --no-hosts --log-facility=- --edns-packet-max=4096 \
  --local=/example.org/ --local=/example.net/ --pid-file="$work/dnsmasq.pid" \
  --host-record=www.example.org,198.18.1.80,2001:2:0:1::80 --host-record=img.example.org,198.18.1.80,2001:2:0:1::80 \
  --host-record=files.example.org,198.18.1.21,2001:2:0:1::21 --host-record=ntp.example.org,198.18.1.53 \
  --host-record=mqtt.example.org,198.18.1.53,2001:2:0:1::53 --mx-host=example.org,files.example.org,10 \
  --txt-record=big.example.org,"$(seq -s, 1 79)","$(seq -s, 101 160)","$(seq -s, 201 260)","$(seq -s, 301 360)","$(seq -s, 401 460)","$(seq -s, 501 560)","$(seq -s, 601 660)","$(seq -s, 701 760)"
daemon infra mosquitto mosquitto -c "$work/mosquitto.conf"
daemon infra chronyd chronyd -x -d -f "$work/chrony.conf"
daemon files sshd "$(command -v sshd)" -D -e -f "$work/sshd.conf"
daemon files vsftpd vsftpd "$work/vsftpd.conf"
daemon files tftpd in.tftpd --foreground --listen --user root --secure "$work/www"
daemon files rsyncd rsync --daemon --no-detach --config="$work/rsyncd.conf"
listening() { # listening NS tcp|udp PORT: waits up to 10 s
  local i
  for i in $(seq 100); do
    on "$1" ss -Hln --"$2" "sport = :$3" | grep -q . && return
    sleep 0.1
  done
  cat "$work"/log/* >&2
  die "nothing listens on $2 port $3 in $1"
}
listening web tcp 443
listening infra udp 53
listening infra tcp 1883
listening infra udp 123
for port in 21 22 873; do listening files tcp "$port"; done
listening files udp 69

# --- The capture ----------------------------------------------------------------------------------

daemon rtr dumpcap dumpcap -q -i inside -w "$work/raw.pcapng"
capture=$!
for i in $(seq 100); do [ -s "$work/raw.pcapng" ] && break; sleep 0.1; done
[ -s "$work/raw.pcapng" ] || { cat "$work/log/dumpcap.out" >&2; die "dumpcap wrote nothing"; }
sleep 1

# --- The users: each function is one person or one machine -----------------------------------------

failures=$work/log/failures
: >"$failures"
ok() { # must succeed
  local said
  said=$("$@" 2>&1) || printf 'exit %s: %s\n%s\n' "$?" "$*" "$said" >>"$failures"
}
any() { "$@" >/dev/null 2>&1 || true; } # may well fail
times() { echo $((($1 * percent + 99) / 100)); } # so much of it as this sitting has
pause() { if [ "$quick" = 1 ]; then sleep 0.1; else sleep "$1"; fi; }
fetch() { local ns=$1; shift; ok on "$ns" curl -sSk -m 20 -A curl -o /dev/null "$@"; }

browse() { # browse NS N OPTION...: N page visits, each look-ups, a page and what it embeds
  local ns=$1 n=$2 i; shift 2
  for i in $(seq "$n"); do
    fetch "$ns" "$@" http://www.example.org/
    case $((i % 4)) in
      0) fetch "$ns" "$@" http://www.example.org/style.css -o /dev/null http://www.example.org/index.html ;;
      1) fetch "$ns" "$@" https://www.example.org/ ;;
      2) fetch "$ns" "$@" -L http://www.example.org/moved ;;
      3) fetch "$ns" "$@" http://img.example.org/picture ;;
    esac
    pause 3
  done
}
resolve() { # resolve NS SERVER N
  local i
  for i in $(seq "$3"); do
    ok on "$1" dig +tries=2 +time=2 "@$2" "host$i.example.net" A
    case $((i % 5)) in
      0) ok on "$1" dig +tries=2 +time=2 "@$2" example.org MX ;;
      1) ok on "$1" dig +tries=2 +time=2 "@$2" -x 198.18.1.80 ;;
      2) ok on "$1" dig +tcp +time=2 "@$2" www.example.org AAAA ;;
    esac
    pause 1.5
  done
}
transfer() { # files by every protocol at hand
  local ssh="-i $work/user_key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -F none"
  fetch alice -u anonymous:guest@example.org ftp://files.example.org/style.css
  fetch erin -6 -u anonymous:guest@example.org ftp://files.example.org/
  pause 2
  fetch carol tftp://198.18.1.21/picture
  fetch bob http://www.example.org/download
  pause 2
  ok on bob scp -q $ssh "$work/upload" root@198.18.1.21:"$work/received"
  ok on alice rsync -r rsync://198.18.1.21/www/ "$work/copy/" --exclude download
  pause 2
  fetch alice -X POST --data-binary "@$work/upload" -H Expect: http://www.example.org/upload
  fetch erin -6 -X POST --data-binary "@$work/upload" -H Expect: http://www.example.org/upload
}
long_lived() { # sessions that last as long as the capture, mostly idle
  local seconds=600 beat=20
  [ "$quick" = 0 ] || { seconds=8; beat=3; }
  local ssh="-i $work/user_key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -F none"
  ok on alice ssh $ssh -o ServerAliveInterval=10 root@198.18.1.21 "for i in \$(seq $((seconds / beat))); do date; sleep $beat; done" &
  any on dave timeout "$seconds" mosquitto_sub -h mqtt.example.org -k 30 -i meter -t 'meter/#' &
  any on erin timeout "$seconds" mosquitto_sub -6 -h mqtt.example.org -k 30 -i panel -t 'meter/#' &
  (for _ in $(seq "$((seconds / beat / 2))"); do
    sleep $((beat * 2))
    ok on bob mosquitto_pub -h mqtt.example.org -i gauge -t meter/power -m 1234
  done) &
  # A conversation over UDP whose client leaves first: the last datagram meets a closed port inside.
  (for _ in $(seq "$((seconds / beat + 1))"); do echo tick; sleep "$beat"; done) |
    any on files timeout $((seconds + beat)) nc -u -l 5004 &
  (sleep 1; for _ in $(seq "$((seconds / beat))"); do echo tock; sleep "$beat"; done) |
    any on carol timeout "$seconds" nc -u -p 5004 198.18.1.21 5004 &
  wait
}
measure() { # ping, traceroute, clocks
  ok on alice ping -n -c "$((quick ? 2 : 20))" -i 1 198.18.1.80 &
  ok on erin ping -n -c "$((quick ? 2 : 20))" -i 1 2001:2:0:1::80 &
  ok on dave ping -n -c 3 -i 0.5 -s 3000 198.18.1.53
  any on bob ping -n -6 -c 4 -i 0.5 -s 3000 2001:2:0:1::53
  ok on carol traceroute -n -q 2 198.18.1.80
  ok on alice traceroute -n -I -q 2 198.18.1.21
  ok on dave traceroute -n -T -p 80 -q 1 198.18.1.80
  ok on erin traceroute -6 -n -q 2 2001:2:0:1::80
  ok on bob tracepath -n 198.18.1.53
  ok on bob tracepath -6 -n 2001:2:0:1::53
  ok on carol dig +bufsize=4096 +ignore @198.18.1.53 big.example.org TXT
  ok on erin dig +bufsize=4096 +ignore @2001:2:0:1::53 big.example.org TXT
  ok on bob chronyd -Q -x -t 20 'user root' 'cmdport 0' "pidfile $work/chrony-$RANDOM.pid" 'server 198.18.1.53 iburst maxsamples 4'
  ok on dave chronyd -Q -x -t 20 'user root' 'cmdport 0' "pidfile $work/chrony-$RANDOM.pid" 'server 198.18.1.53 iburst maxsamples 4'
  wait
}
go_wrong() { # closed ports, unreachable places, impatience, and somebody knocking from outside
  any on alice nc -z -w 1 198.18.1.80 81
  any on bob nc -z -w 1 2001:2:0:1::80 81
  any on carol dig +tries=2 +time=1 @198.18.1.80 www.example.org
  any on erin dig +tries=1 +time=1 @2001:2:0:1::80 www.example.org
  pause 1
  any on dave curl -s -m 2 http://198.18.66.1/
  any on alice curl -s -m 2 http://198.18.67.1/
  any on bob curl -s -m 2 http://198.18.68.1/
  any on erin curl -s -m 2 'http://[2001:2:0:68::1]/'
  any on carol curl -s -m 1 --limit-rate 1k http://www.example.org/download
  any on alice ping -n -c 1 -W 1 -t 1 198.18.1.80
  pause 1
  any on files ping -n -c 2 -i 0.5 -W 1 10.0.0.11
  any on files nc -z -w 1 10.0.0.12 22
  any on files nc -z -w 1 192.168.20.21 23
  any on files nc -u -w 1 100.64.2.31 161 <<<hello
}

sitting() { # sitting PERCENT: people at their machines
  local percent=$1
  browse alice "$(times 18)" &
  browse bob "$(times 14)" -6 &
  browse carol "$(times 14)" &
  browse dave "$(times 12)" &
  browse erin "$(times 12)" -6 --resolve 'www.example.org:80:2001:2:0:1::80' \
    --resolve 'www.example.org:443:2001:2:0:1::80' --resolve 'img.example.org:80:2001:2:0:1::80' &
  resolve dave 198.18.1.53 "$(times 55)" &
  resolve erin 2001:2:0:1::53 "$(times 35)" &
  wait
}

long_lived & jobs=$!
transfer & jobs="$jobs $!"
measure & jobs="$jobs $!"
(pause 12; go_wrong) & jobs="$jobs $!"
if [ "$quick" = 1 ]; then
  sitting 10 & jobs="$jobs $!"
else
  sitting 50 & jobs="$jobs $!"
  (sleep 270; sitting 30) & jobs="$jobs $!"
  (sleep 540; sitting 20) & jobs="$jobs $!"
fi
wait $jobs
sleep 1
kill -INT "$capture" 2>/dev/null || true
ip netns pids rtr | xargs -r kill -INT 2>/dev/null || true
for i in $(seq 50); do [ -n "$(ip netns pids rtr)" ] || break; sleep 0.1; done

if [ -s "$failures" ]; then
  cat "$failures" >&2
  die "the programs above should have succeeded"
fi
# Through plain pcap and back: drops the machine, kernel and interface that pcapng would name.
editcap -F nsecpcap "$work/raw.pcapng" "$work/plain.pcap"
editcap -F pcapng "$work/plain.pcap" "$work/sample.pcapng"
