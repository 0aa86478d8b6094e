#!/usr/bin/env bash
# Installs what the other stages call and the machine lacks. Starts no service.
set -euo pipefail
packages="jq tshark wireshark-common iproute2 util-linux ethtool nftables curl openssl nginx-light
  dnsmasq-base bind9-dnsutils traceroute iputils-ping iputils-tracepath openssh-server openssh-client
  rsync tftpd-hpa vsftpd netcat-openbsd mosquitto mosquitto-clients chrony valgrind"
missing=()
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  # The daemons are started by the tests, in namespaces, and by nothing else.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get update -q
  apt-get install -qy --no-install-recommends "${missing[@]}"
fi
# A linker that runs out of room says so in a hundred lines, none of them about room.
free=$(df --output=avail -BG . | tail -n 1 | tr -dc '0-9')
if [ "$free" -lt 6 ]; then
  echo "error: $free GB free where $PWD lies, 6 are needed: what all stages build takes about 5" >&2
  exit 1
fi
echo "$free GB free"
cargo --version
tshark --version 2>/dev/null | head -n 1
