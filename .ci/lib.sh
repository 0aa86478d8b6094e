# Shared by the stages that look at a replay; source it.

# natshard ARG...: the release binary, as it was when the stage began.
cargo build --quiet --release --bin natshard
natshard() { "${CARGO_TARGET_DIR:-target}/release/natshard" "$@"; }

# check_report FILE [MIN_ROUND_TRIPS]: the JSON report keeps its promises.
check_report() {
  local said
  said=$(jq -r -f .ci/report.jq "$1")
  [ "$said" = ok ] || { printf '%s:\n%s\n' "$1" "$said"; return 1; }
  local trips
  trips=$(jq .verify.round_trips "$1")
  [ "$trips" -ge "${2:-0}" ] || { echo "$1: $trips round trips, expected at least $2"; return 1; }
}

# check_out FILE: tshark reads every frame and finds on the outside no checksum wrong that was right inside.
check_out() {
  local counts
  counts=$(tshark -r "$1" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE \
    -T fields -e frame.interface_name -e ip.checksum.status -e tcp.checksum.status \
    -e udp.checksum.status -e icmp.checksum.status -e icmpv6.checksum.status 2>/dev/null |
    awk -F'\t' '{ frames[$1]++; for (i = 2; i <= NF; i++) if ($i ~ /(^|,)0/) { bad[$1]++; break } }
      END { print frames["inside"] + 0, frames["outside"] + 0, bad["inside"] + 0, bad["outside"] + 0 }')
  read -r inside outside bad_inside bad_outside <<<"$counts"
  echo "tshark: $inside frames inside, $outside outside; wrong checksums: $bad_inside inside, $bad_outside outside"
  [ "$inside" -gt 0 ] && [ "$inside" -eq "$outside" ] && [ "$bad_outside" -le "$bad_inside" ]
}
