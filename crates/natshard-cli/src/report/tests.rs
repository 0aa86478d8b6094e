//! The page as a whole.

use natshard::Protocol;

use super::data::*;
use super::*;

const PICTURES: [&str; 4] = [
    "Ports in use over time",
    "Blocks by phase over time",
    "Where each flow's public port fell",
    "Drops and untouched packets by reason",
];

/// A run of `samples` samples and `flows` flows, as a real one would look.
pub(crate) fn run(samples: usize, flows: usize) -> Report {
    let mut state = 1_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let span = 240.0;
    Report {
        title: "web.pcapng, dns.pcap and 3 more".into(),
        command: "natshard replay web.pcapng dns.pcap --report r.html".into(),
        version: "0.1.0".into(),
        summary: vec![
            figure("packets read", 18_204, ""),
            figure("packets translated", 16_496, "90.6 % of those read"),
            figure("sessions created", 1_733, "at most 412 at once"),
            figure("leases", 1_733, "0 refused"),
            Figure {
                label: "packets per second".into(),
                value: FigureValue::Text("1.24 million".into()),
                detail: "on 2 shards".into(),
            },
        ],
        verify: Verify {
            round_trips: 8_021,
            ..Verify::default()
        },
        samples: (0..samples)
            .map(|index| {
                let part = index as f64 / samples.max(2) as f64;
                let leased = (400.0 * (part * 9.0).sin().abs() * (1.0 - part)) as u64;
                let cooling = (600.0 * part.min(0.7)) as u64;
                Sample {
                    at: span * part,
                    leased,
                    cooling,
                    unissued: 1536 - (leased * 3) % 700,
                    blocks_free: 252 * 3 - index as u64 % 9,
                    blocks_heating: 6 + index as u64 % 4,
                    blocks_cooling: (part * 40.0) as u64,
                }
            })
            .collect(),
        addresses: vec![
            "203.0.113.1".parse().unwrap(),
            "2001:db8::1".parse().unwrap(),
        ],
        flows: (0..flows)
            .map(|index| Flow {
                at: span * index as f64 / flows as f64,
                address: random() % 2,
                port: 1024 + (random() % 64512) as u16,
                protocol: Protocol::ALL[[0, 0, 1, 1, 1, 2][random() as usize % 6]],
            })
            .collect(),
        flows_total: flows as u64,
        dropped: vec![count("no_mapping", 312), count("malformed_tcp_header", 4)],
        untouched: vec![
            count("inside_to_inside", 1_204),
            count("not_ip", 188),
            count("multicast", 9),
        ],
        refused: Vec::new(),
        pools: vec![PoolUsed {
            name: "documentation".into(),
            realm: "internet".into(),
            prefixes: vec!["203.0.113.0/28".into(), "2001:db8:0:ffff::/64".into()],
            ports: "1024-65535".into(),
            identifiers: "0-65535".into(),
            capacity: 3_112_960,
            peak_leased: Some(412),
        }],
        notes: vec!["Pools are documentation prefixes: nothing here was sent anywhere.".into()],
    }
}

fn figure(label: &str, value: u64, detail: &str) -> Figure {
    Figure {
        label: label.into(),
        value: FigureValue::Count(value),
        detail: detail.into(),
    }
}

fn count(reason: &str, count: u64) -> Count {
    Count {
        reason: reason.into(),
        count,
    }
}

/// Every element that is opened is closed, in order.
fn assert_well_formed(page: &str) {
    const VOID: [&str; 4] = ["meta", "br", "col", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let style = page.find("</style>").unwrap();
    let mut rest = &page[style..];
    open.extend(["html", "head", "style"]);
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop(),
                Some(name),
                "before {}",
                &rest[..rest.len().min(80)]
            );
        } else if !tag.ends_with('/') {
            let name = tag.split_ascii_whitespace().next().unwrap();
            if !VOID.contains(&name) {
                open.push(name);
            }
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

fn assert_sound(page: &str) {
    assert_well_formed(page);
    for title in PICTURES {
        assert!(page.contains(&Esc(title).to_string()), "{title}");
    }
    for wrong in ["NaN", "inf%", "http://", "https://", "<script", "src="] {
        assert!(!page.contains(wrong), "{wrong}");
    }
}

#[test]
fn every_picture_has_a_title_a_text_alternative_and_a_table() {
    let page = render(&run(300, 900));
    assert_sound(&page);
    for id in ["ports", "blocks", "flows"] {
        assert!(page.contains(&format!("<title id=\"{id}-t\">")));
        assert!(page.contains(&format!("<desc id=\"{id}-d\">")));
    }
    assert_eq!(page.matches("role=\"img\"").count(), 3);
    assert_eq!(page.matches("<details>").count(), 3);
    assert!(page.contains("Verified: 8,021 round trips"));
    assert!(page.contains("no mapping</th>"));
    assert!(page.contains("<h3>Leases refused</h3><p class=\"none\">None.</p>"));
}

#[test]
fn an_empty_run_says_so_in_every_picture() {
    let page = render(&Report::default());
    assert_sound(&page);
    assert_eq!(
        page.matches("No sample of the engine was taken.").count(),
        2
    );
    assert!(page.contains("No flow was given a public port."));
    assert!(page.contains("No pool was used."));
    assert!(page.contains("no round trip could be verified"));
    assert!(!page.contains("Verified:"));
}

#[test]
fn a_single_sample_is_drawn_across_the_picture() {
    let mut report = run(1, 1);
    report.samples[0].at = 12.5;
    report.flows[0].at = 12.5;
    report.samples[0].leased = 7;
    let page = render(&report);
    assert_sound(&page);
    assert!(page.contains("All samples were taken at 12.5 s"));
    assert!(page.contains("At most 7 ports in use at once, at 12.5 s"));
    assert!(page.contains("<path class=\"line leased\" d=\"M0.0 "));
}

#[test]
fn text_of_the_user_cannot_become_markup() {
    let evil = "</style><script>alert(1)</script><img src=x onerror='a'>\"&";
    let report = Report {
        title: evil.into(),
        command: evil.into(),
        version: evil.into(),
        summary: vec![Figure {
            label: evil.into(),
            value: FigureValue::Text(evil.into()),
            detail: evil.into(),
        }],
        dropped: vec![count(evil, 1)],
        untouched: vec![count(evil, 1)],
        refused: vec![count(evil, 1)],
        pools: vec![PoolUsed {
            name: evil.into(),
            realm: evil.into(),
            prefixes: vec![evil.into()],
            ports: evil.into(),
            identifiers: evil.into(),
            capacity: 1,
            peak_leased: None,
        }],
        notes: vec![evil.into()],
        ..run(2, 2)
    };
    let page = render(&report);
    assert_well_formed(&page);
    assert!(!page.contains("<script"));
    assert!(!page.contains("<img"));
    assert!(page.matches("&lt;script&gt;").count() >= 12);
}

#[test]
fn many_flows_are_thinned_and_the_page_says_so() {
    let mut report = run(5_000, 40_000);
    report.flows_total = 1_000_000;
    let page = render(&report);
    assert_sound(&page);
    assert!(page.contains("6,000 of 40,000 points are drawn"));
    assert!(page.contains("Of 1,000,000 flows, a sample of 40,000 was kept"));
    assert!(page.contains("5,000 samples drawn as 715 points"));
    assert!(page.contains("Every 25th of 5,000 samples, and the last."));
    let start = page.find("aria-labelledby=\"flows-t").unwrap();
    let end = start + page[start..].find("</svg>").unwrap();
    let picture = &page[start..end];
    let rings = picture
        .split("points hole")
        .nth(1)
        .unwrap()
        .matches("h0")
        .count();
    assert_eq!(picture.matches("h0").count() - rings, scatter::POINTS);
    assert!(page.len() < 400_000, "{}", page.len());
}

#[test]
fn a_peak_survives_thinning() {
    let mut report = run(10_000, 1);
    report.samples[3_333].leased = 1_000_000;
    let page = render(&report);
    assert!(page.contains("At most 1,000,000 ports in use at once"));
    let line = page.split("class=\"line leased\" d=\"").nth(1).unwrap();
    let line = &line[..line.find('"').unwrap()];
    assert!(line.contains(" 0.0L"), "the curve touches the top");
}

#[test]
fn absurd_figures_are_drawn_without_panic() {
    let mut report = run(3, 3);
    report.samples[0].at = f64::NAN;
    report.samples[1].at = f64::INFINITY;
    report.samples[2] = Sample {
        at: 1e15,
        leased: u64::MAX,
        cooling: u64::MAX,
        unissued: u64::MAX,
        blocks_free: u64::MAX,
        blocks_heating: u64::MAX,
        blocks_cooling: u64::MAX,
    };
    report.flows[0].at = f64::NEG_INFINITY;
    report.flows[1].address = u32::MAX;
    report.dropped = vec![count("a", u64::MAX), count("b", u64::MAX), count("c", 0)];
    report.verify = Verify {
        round_trips: u64::MAX,
        bad_checksums: u64::MAX,
        census_errors: 1,
        ..Verify::default()
    };
    let page = render(&report);
    assert_sound(&page);
    assert!(page.contains("18,446,744,073,709,551,615 faults found: "));
}

#[test]
fn free_blocks_do_not_press_the_others_into_a_line() {
    let mut report = run(100, 1);
    assert!(render(&report).contains("free at the end are not drawn"));
    assert!(!render(&report).contains("class=\"pile free\""));
    for sample in &mut report.samples {
        sample.blocks_free = 10;
    }
    assert!(!render(&report).contains("are not drawn: they"));
    assert!(render(&report).contains("class=\"pile free\""));
}

#[test]
fn long_silences_are_folded_in_every_picture() {
    let mut report = run(300, 300);
    for sample in &mut report.samples[150..] {
        sample.at += 1e8;
    }
    for flow in &mut report.flows[150..] {
        flow.at += 1e8;
    }
    let page = render(&report);
    assert_sound(&page);
    assert_eq!(page.matches("class=\"fold\"").count(), 3);
    assert_eq!(page.matches("grey bands: 1 silence of up to").count(), 3);
    assert!(!render(&run(300, 300)).contains("class=\"fold\""));
}

#[test]
fn one_fault_turns_the_verdict() {
    let mut report = run(2, 2);
    report.verify.duplicate_tuples = 1;
    let page = render(&report);
    assert!(
        page.contains("<strong>1 fault found: 1 public tuples with two owners at once</strong>")
    );
    assert!(page.contains("fault</span>"));
    assert!(!page.contains("Verified:"));
}
