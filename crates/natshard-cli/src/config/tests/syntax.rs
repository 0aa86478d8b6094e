//! Faults of text that is not even TOML.

use std::path::Path;

use super::super::{Faults, from_bytes, read};
use super::{POOL, assert_said, understand};

#[test]
fn syntax_is_explained_and_reading_goes_on() {
    assert_said(
        &format!(
            "a = \nb = \"x\nc = plain\nd = 10.0.0.1/8\n[engine]\nshards = 3\nshards = 4\nport-order = \"lineer\"\n{POOL}"
        ),
        &[
            "error 1:5 a value is missing | ",
            "error 2:7 a string does not end on its line | ",
            "error 3:5 text must be in quotes | write `\"plain\"`",
            "error 4:5 text must be in quotes | write `\"10.0.0.1/8\"`",
            "error 7:1 this key was given before | ",
            "error 8:14 `port-order` cannot be `lineer` | did you mean `\"linear\"`?",
        ],
    );
}

#[test]
fn after_an_open_array_nothing_is_judged() {
    assert_said(
        &format!("external-realms = [\"wan\"\n[engine]\nshards = 0\nprt = 1\n{POOL}"),
        &[
            "error 2:1 the array above is not closed | write `]` where it ends; what follows was not read",
        ],
    );
}

#[test]
fn what_may_stand_in_unreadable_lines_is_not_missed() {
    // The name is there, only not in quotes.
    assert_said(
        "[[external-ip-address-pool]]\nname = internet\nexternal-ip-pool = \"203.0.113.0/28\"\n",
        &["error 2:8 text must be in quotes | write `\"internet\"`"],
    );
}

#[test]
fn files_that_are_no_text_have_a_fault_too() {
    let decode = |bytes: &[u8]| match from_bytes(Path::new("x.toml"), bytes.to_vec()) {
        Err(Faults::Invalid {
            source,
            diagnostics,
        }) => {
            let it = &diagnostics[0];
            format!(
                "{}:{} {}",
                source.line(it.span.start),
                source.column(it.span.start),
                it.message
            )
        }
        other => format!("{other:?}"),
    };
    assert_eq!(decode(b""), "1:1 the configuration is empty");
    assert_eq!(decode(b" \n\n"), "1:1 the configuration is empty");
    assert_eq!(
        decode(b"a = 1\nb = \"\xff\"\n"),
        "2:6 not UTF-8: byte 0xff at offset 11"
    );
    let huge = vec![b'#'; read::MAX_BYTES as usize + 1];
    assert_eq!(
        decode(&huge),
        "1:1 larger than 4 MiB: too large for a configuration"
    );
    assert_said(
        "# nothing\n",
        &["error 1:1 the configuration has no pool | ..."],
    );
}

#[test]
fn text_of_the_user_cannot_steer_a_terminal() {
    let text = "\"\\u001b[31m\" = 1\n[engine]\n\"a\\u202eb\" = 1\n";
    let Err(faults) = understand(text) else {
        panic!()
    };
    let rendered = faults.render(false);
    assert!(
        !rendered.contains('\u{1b}') && !rendered.contains('\u{202e}'),
        "{rendered:?}"
    );
    assert!(rendered.contains("\\u{1b}[31m"));
    // One of the second set of control characters begins a sequence as well; found by fuzzing.
    let faults = from_bytes(
        Path::new("a\u{1b}b.toml"),
        b"# \xc2\x9b31m\xc2\x85\nx\xe6".into(),
    );
    let rendered = faults.expect_err("not UTF-8").render(true);
    assert!(
        !rendered.contains("\u{1b}b") && !rendered.contains('\u{9b}'),
        "{rendered:?}"
    );
    let faults = understand("x = \"\u{9b}31m\"\n").unwrap_err().render(false);
    assert!(
        faults.contains("x = \"\u{b7}31m\"") && !faults.contains('\u{9b}'),
        "{faults:?}"
    );
}
