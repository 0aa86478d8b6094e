# Holds a report of `natshard replay --format json` to its promises; prints what it breaks.
def sum: [.[]] | add // 0;
def must(cond; what): if cond then empty else what end;
[
  must(.schema_version == 1; "schema_version is \(.schema_version), not 1"),
  must(.packets.read > 0; "no packet was read"),
  must(.packets.read == .packets.translated + (.packets.untouched | sum) + (.packets.dropped | sum);
    "packets do not add up: \(.packets)"),
  must(.packets.translated == .packets.inside_to_outside + .packets.outside_to_inside;
    "directions do not add up: \(.packets)"),
  must(.leases.allocated >= .leases.released; "more leases released than allocated: \(.leases)"),
  ((.verify | del(.round_trips) | to_entries[]) | must(.value == 0; "verify.\(.key) is \(.value)")),
  must(.verify | has("round_trip_mismatches") and has("bad_checksums") and has("duplicate_tuples")
    and has("hold_down_violations") and has("census_errors"); "a verify figure is missing: \(.verify)")
] | if length == 0 then "ok" else join("\n") end
