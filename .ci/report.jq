# Holds a report of `natshard replay --format json` to its promises; prints what it breaks.
def sum: [.[]] | add // 0;
def must(cond; what): if cond then empty else what end;
[
  must(.schema_version == 1; "schema_version is \(.schema_version), not 1"),
  must(.packets.read == .packets.translated + (.packets.untouched | sum) + (.packets.dropped | sum);
    "packets do not add up: \(.packets)"),
  must(.packets.translated == .packets.inside_to_outside + .packets.outside_to_inside;
    "directions do not add up: \(.packets)"),
  must(.leases.allocated >= .leases.released; "more leases released than allocated: \(.leases)"),
  (("round_trip_mismatches", "bad_checksums", "duplicate_tuples", "hold_down_violations", "census_errors",
    "stray_changes") as $figure | must(.verify[$figure] == 0; "verify.\($figure) is \(.verify[$figure])"))
] | if length == 0 then "ok" else join("\n") end
