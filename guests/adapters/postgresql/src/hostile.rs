//! Tests of what the server may say, from a script: in part, wrongly, at random, or not at all.

use crate::script::{PLAIN, Script, lane, message, opening, ready, row, use_all};
use crate::store::Space;
use shardwright_guest::adapter::{Expected, OpenError, Purpose, Store, StoreError};

fn error(severity: &str, code: &str) -> Vec<u8> {
    message(b'E', format!("V{severity}\0C{code}\0Mbecause\0\0").as_bytes())
}

fn note(payload: &str) -> Vec<u8> {
    message(b'A', format!("\0\0\0\x09shardwright_x\0{payload}\0").as_bytes())
}

fn number(number: i64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The answer to a write.
fn written() -> Vec<u8> {
    row(&[Some(&number(0)), Some(&number(5)), Some(&number(6)), None])
}

fn store(answers: &[Vec<u8>]) -> Space<Script> {
    let mut all = opening();
    all.extend_from_slice(answers);
    // Without it the connection would be closed before the last question.
    all.push(Vec::new());
    Space::new(
        lane(all, Purpose::Store, PLAIN)
            .map_err(|error| error.to_string())
            .unwrap(),
    )
}

fn put(answer: &[Vec<u8>]) -> Result<u64, StoreError> {
    store(&[answer.concat()])
        .put("k", vec![1], Expected::Any)
        .map(|written| written.revision)
}

#[test]
fn a_write_counts_when_the_server_is_ready_again() {
    let done = message(b'C', b"SELECT 1\0");
    assert_eq!(put(&[written(), done.clone(), ready()]), Ok(5));
    for unclear in [
        vec![written(), done.clone()],
        vec![written(), done.clone(), error("FATAL", "57P01")],
        vec![written(), done.clone(), error("PANIC", "XX000")],
        // Servers before 9.6 tell the severity in their own language alone.
        vec![written(), message(b'E', b"SFEHLER\0C53100\0M\0\0"), ready()],
        vec![done.clone(), ready()],
        vec![
            written(),
            message(b'N', b"VWARNING\0C01000\0Mx\0RSyncRepWaitForLSN\0\0"),
            done.clone(),
            ready(),
        ],
        vec![written(), done.clone(), message(b'Z', b"E")],
        vec![message(b'G', &[0, 0, 0])],
        vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()],
        vec![],
    ] {
        assert!(
            matches!(put(&unclear), Err(StoreError::Indeterminate(_))),
            "{unclear:?}"
        );
    }
    // The commit itself may fail, after the row was shown.
    let failed = put(&[written(), done, error("ERROR", "53100"), ready()]);
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
}

#[test]
fn what_ended_before_a_write_was_sent_leaves_nothing_written() {
    let mut all = opening();
    all[2].extend(error("FATAL", "57P01"));
    all.push(Vec::new());
    let mut space = Space::new(
        lane(all, Purpose::Store, PLAIN)
            .map_err(|error| error.to_string())
            .unwrap(),
    );
    for _ in 0..2 {
        let outcome = space.put("k", vec![1], Expected::Any);
        assert!(
            matches!(&outcome, Err(StoreError::Unavailable(why)) if why.contains("57P01")),
            "{outcome:?}"
        );
    }
    assert_eq!(space.client.wire.sends, 3);
}

#[test]
fn a_lane_that_was_confused_stays_useless() {
    let mut space = store(&[message(b'?', b""), [written(), ready()].concat()]);
    assert!(matches!(
        space.put("k", vec![1], Expected::Any),
        Err(StoreError::Indeterminate(_))
    ));
    assert!(matches!(
        space.put("k", vec![1], Expected::Any),
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(space.get("k"), Err(StoreError::Unavailable(_))));
}

#[test]
fn a_message_larger_than_any_sensible_one_is_refused_before_it_comes() {
    let mut space = store(&[[b"D\x7f\xff\xff\xff".to_vec(), vec![0; 64]].concat()]);
    let outcome = space.get("k");
    assert!(
        matches!(&outcome, Err(StoreError::Unavailable(why)) if why.contains("2147483647 bytes")),
        "{outcome:?}"
    );
}

#[test]
fn a_lost_history_stays_lost() {
    let gone = [row(&[Some(&number(3)), None, None, None]), ready()].concat();
    let mut space = store(&[gone, [written(), ready()].concat()]);
    for _ in 0..2 {
        assert!(matches!(
            space.put("k", vec![1], Expected::Any),
            Err(StoreError::HistoryLost(_))
        ));
    }
}

/// What the login comes to if the server begins so.
fn refused(answers: Vec<Vec<u8>>, config: &str) -> OpenError {
    lane(answers, Purpose::Publish, config).err().expect("refused")
}

#[test]
fn passwords_do_not_cross_a_plain_connection_by_themselves() {
    for (asked, how) in [(vec![0, 0, 0, 3], "in clear"), (vec![0, 0, 0, 5, 1, 2, 3, 4], "MD5")] {
        let denied = refused(vec![message(b'R', &asked)], PLAIN);
        assert!(
            matches!(&denied, OpenError::Denied(why) if why.contains(how) && why.contains("scram-sha-256")),
            "{denied:?}"
        );
        // Over TLS, which the host does, it is sent; then this script ends.
        let tls = PLAIN.replace('}', ", \"tls\": true}");
        assert!(matches!(
            refused(vec![message(b'R', &asked)], &tls),
            OpenError::Unreachable(_)
        ));
    }
    let none = r#"{"host": "h", "database": "d", "user": "u"}"#;
    let scram = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    assert!(matches!(refused(vec![scram], none), OpenError::Denied(why) if why.contains("set `password`")));
}

#[test]
fn a_server_has_to_prove_that_it_knows_the_password() {
    let begun = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
    let skipped = [message(b'R', &[0; 4]), ready()].concat();
    let denied = refused(vec![begun.clone(), skipped], PLAIN);
    assert!(
        matches!(&denied, OpenError::Denied(why) if why.contains("without proving")),
        "{denied:?}"
    );
    let other = message(b'R', b"\0\0\0\x0br=another,s=QSXCR+Q6sek8bf92,i=4096");
    let denied = refused(vec![begun.clone(), other], PLAIN);
    assert!(
        matches!(&denied, OpenError::Denied(why) if why.contains("does not fit")),
        "{denied:?}"
    );
    let plus = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0\0");
    assert!(matches!(refused(vec![plus], PLAIN), OpenError::Denied(_)));
    for stray in [
        message(b'R', b"\0\0\0\x0bx"),
        message(b'R', b"\0\0\0\x0cx"),
        message(b'R', &[0, 0, 0, 99]),
        row(&[]),
    ] {
        assert!(matches!(
            refused(vec![stray], PLAIN),
            OpenError::Other(_) | OpenError::Unreachable(_)
        ));
    }
}

#[test]
fn servers_that_cannot_keep_the_promises_are_refused() {
    let with = |cell: usize, value: &[u8]| {
        let version = 150_000i32.to_be_bytes();
        let (process, settings) = ([0, 0, 0, 9], [0, 0, 0, 0, 0, 0, 0, 15]);
        let mut facts: [Option<&[u8]>; 8] = [
            Some(&version),
            Some(&[0]),
            Some(&[1]),
            Some(&[1]),
            Some(&process),
            Some(&settings),
            None,
            None,
        ];
        facts[cell] = Some(value);
        let mut all = opening();
        all[1] = [row(&facts), ready()].concat();
        refused(all, PLAIN)
    };
    assert!(matches!(with(0, &120_000i32.to_be_bytes()), OpenError::Other(why) if why.contains("PostgreSQL 12")));
    assert!(matches!(with(1, &[1]), OpenError::Unreachable(why) if why.contains("standby")));
    assert!(matches!(with(2, &[0]), OpenError::UnsafeBackend(why) if why.contains("fsync")));
    assert!(matches!(with(3, &[0]), OpenError::UnsafeBackend(why) if why.contains("pooler")));
    assert!(matches!(with(4, &[0, 0, 0, 8]), OpenError::UnsafeBackend(why) if why.contains("pooler")));
    assert!(matches!(with(5, &[0, 0, 0, 0, 0, 0, 0, 14]), OpenError::UnsafeBackend(why) if why.contains("pooler")));
}

/// Everything that a server says in one lane of the store, or one that listens.
fn conversation() -> Vec<Vec<u8>> {
    let mut all = opening();
    let entry: [Option<&[u8]>; 6] = [
        Some(&number(9)),
        Some(&number(8)),
        Some(&number(0)),
        Some(&number(7)),
        Some(&number(6)),
        Some(b"value"),
    ];
    // Who listens takes this for the answer to that, and for what was heard then.
    let notes = ["t 1 aGVsbG8", "t 0 aGVsbG8", "what is this", "t 3 AA", "t 0 "]
        .map(note)
        .concat();
    all.push(
        [
            message(b'2', b""),
            row(&entry),
            message(b'C', b"SELECT 1\0"),
            ready(),
            notes,
        ]
        .concat(),
    );
    let state: [Option<&[u8]>; 5] = [None, Some(&number(9)), Some(&number(8)), None, Some(&number(0))];
    let listed: [Option<&[u8]>; 5] = [Some(b"key"), Some(&number(7)), Some(&number(6)), Some(b"value"), None];
    all.push(
        [
            row(&state),
            row(&listed),
            note("t 0 aGVsbG8"),
            message(b'N', b"VNOTICE\0\0"),
            ready(),
        ]
        .concat(),
    );
    all.push([written(), message(b'C', b"SELECT 1\0"), ready()].concat());
    all.push(Vec::new());
    all
}

#[test]
fn nothing_that_a_server_says_is_a_panic() {
    let whole = conversation();
    // Three calls of the store; a message, and a gap.
    assert_eq!(use_all(whole.clone()), 5);
    // Cut off at every byte.
    for (at, answer) in whole.iter().enumerate() {
        for end in 0..answer.len() {
            let mut cut = whole[..=at].to_vec();
            cut[at].truncate(end);
            cut.push(Vec::new());
            use_all(cut);
        }
    }
    // Each byte changed, then several at random.
    let mut random = 1u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap()
    };
    for (at, answer) in whole.iter().enumerate() {
        for byte in 0..answer.len() {
            for value in [0, 1, 0x7f, 0xff, (next() & 0xff) as u8] {
                let mut changed = whole.clone();
                changed[at][byte] = value;
                use_all(changed);
            }
        }
    }
    for _ in 0..2_000 {
        let mut changed = whole.clone();
        for _ in 0..3 {
            let at = next() % (changed.len() - 1);
            let byte = next() % changed[at].len();
            changed[at][byte] = (next() & 0xff) as u8;
        }
        use_all(changed);
    }
}
