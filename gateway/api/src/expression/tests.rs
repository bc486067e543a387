use std::time::{Duration, Instant};

use super::compile;
use crate::programme_file;

fn refused(text: &str) -> String {
    match compile(text) {
        Ok(_) => panic!("taken: {text}"),
        Err(reason) => reason,
    }
}

#[test]
fn good_expressions_are_taken() {
    for (text, of_line) in [
        ("total >= 5000 && weekday == 'friday'", false),
        ("segments.exists(s, s.startsWith('vip')) || tier in ['gold', 'platinum']", false),
        ("tenders.all(t, t != 'points')", false),
        ("(hour * 60 + minute) % 2 == 0 ? true : birthday", false),
        ("sku.matches('^10[0-9]+$') && quantity >= 2", true),
        ("net < amount / 2 && kind == 'goods'", true),
        ("size(brand) == 0", true),
        ("double(net) > quantity * 2.5", true),
    ] {
        let compiled = compile(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        assert_eq!(compiled.of_line(), of_line, "{text}");
    }
}

#[test]
fn bad_ones_are_refused_with_the_reason() {
    for (text, reason) in [
        ("", "not CEL"),
        ("total >= ", "not CEL"),
        ("totl > 5", "there is no \"totl\""),
        ("total", "true or false"),
        ("total > '5'", "cannot be used on"),
        ("basket.total > 5", "no \"basket\"|.total"),
        ("quantity * 2 > 4.0", "double("),
        ("sku.matches(brand)", "matches is written"),
        ("'a'.matches('a')", "matches is written"),
        ("sku.matches('(')", "regular expression is refused"),
        ("sku.matches('(((a{100}){100}){100}){100}')", "regular expression is refused"),
        ("[1, 2].map(x, x * 2).size() > 0", "a list holds texts|exists and all"),
        ("segments.exists(a, segments.exists(b, a == b))", "at most one"),
        ("segments.map(a, a).size() == 1", "exists and all"),
        ("segments.exists(s, s == sku)", "asked for each line"),
        ("sku in tenders", "asked for each line"),
        ("tenders.all(t, t in tenders)", "not within exists"),
        ("{'a': 1}.size() == 1", "no maps"),
        ("timestamp('2026-01-01T00:00:00Z') < timestamp('2026-01-01T00:00:00Z')", "cannot be used on"),
        ("b'a' == b'a'", "no bytes"),
    ] {
        let said = refused(text);
        assert!(reason.split('|').any(|part| said.contains(part)), "{text}: {said}");
    }
}

/// Deep, wide, endless: each is refused, or taken and cheap, and nothing takes long.
#[test]
fn hostile_expressions_cost_nothing() {
    let nested = |open: &str, core: &str, close: &str, times: usize| format!("{}{core}{}", open.repeat(times), close.repeat(times));
    let hostile = [
        vec!["1"; 511].join("+") + ">0",
        vec!["total"; 170].join("+") + ">0",
        nested("(", "true", ")", 500),
        nested("!", "true", "", 1_000),
        nested("-", "1", "", 1_000) + "<2",
        nested("true?true:", "true", "", 100),
        nested("[", "", "]", 500),
        nested("{1:", "1", "}", 250),
        nested("size(", "sku", ")", 160),
        nested("segments.exists(a,", "true", ")", 50),
        "segments.all(a,segments.all(b,segments.all(c,segments.all(d,true))))".into(),
        vec!["true"; 160].join("&&"),
        vec!["sku.matches('(a+)+$')"; 46].join("||"),
        "sku.matches('(a|aa)+$(b|bb)*(c|cc|ccc)+.*.*.*.*.*.*x')".into(),
        vec!["sku"; 200].join("+") + "==''",
        "\u{0}\u{1}\"'((".into(),
        "a".repeat(1_024),
        "(".repeat(1_024),
        "x".repeat(5_000),
    ];
    for text in hostile {
        let began = Instant::now();
        let taken = compile(&text);
        // A bound far above what any of them takes (some 2 ms in a release build): endless is what it is about.
        assert!(began.elapsed() < Duration::from_secs(5), "{} bytes took {:?}", text.len(), began.elapsed());
        if let Err(reason) = taken {
            assert!(!reason.is_empty() && reason.len() < 600, "{reason}");
        }
    }
}

#[test]
fn a_finding_names_the_field() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/programme.toml");
    let sample = std::fs::read_to_string(sample).expect("the sample programme");
    let with = |expression: &str| sample.replacen(r#"when = { brands = ["Private"] }"#, &format!(r#"when = {{ brands = ["Private"], expression = "{expression}" }}"#), 1);
    assert!(programme_file::read(&with("net > 100"), 1, 0).is_ok());
    let findings = programme_file::read(&with("nett > 100"), 1, 0).expect_err("misspelt");
    assert_eq!(findings[0].finding.path, "multiplier.1.when.expression");
}

/// What the dearest of those that are taken cost, printed: a whole basket of 1,000 lines each time. They take milliseconds; the bound
/// is for what would not end.
#[test]
fn the_dearest_ones_on_the_largest_basket() {
    use tessera_domain::basket::{Basket, Line, Tender};
    use tessera_domain::earn::{Facts, earn};
    use tessera_domain::number::Decimal;

    let line = |place: usize| Line {
        id: place.to_string().into(),
        kind: Default::default(),
        sku: "a".repeat(64).into(),
        category: "PRODUCE".into(),
        brand: "Private".into(),
        quantity: Decimal(Decimal::ONE),
        unit: "".into(),
        amount: 100,
        discount: 0,
        tax: 0,
        voided: false,
        returns: None,
    };
    let basket = Basket {
        source: "pos".into(),
        store: "1".into(),
        till: "".into(),
        channel: "".into(),
        customer_group: "".into(),
        occurred_at: 1_780_315_200_000,
        business_date: None,
        currency: "USD".parse().expect("a currency"),
        prices_include_tax: true,
        lines: (0..1_000).map(line).collect(),
        discounts: Vec::new(),
        tenders: (0..50).map(|_| Tender { kind: "card".into(), amount: 1, wallet: "".into(), hold: None, offline: None, lines: Vec::new() }).collect(),
        ext: "".into(),
    };
    let worth = basket.worth().expect("a good basket");
    let sample = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/programme.toml")).expect("the sample programme");
    let with = |expression: &str| {
        let text = sample.replacen(r#"when = { brands = ["Private"] }"#, &format!(r#"when = {{ expression = "{expression}" }}"#), 1);
        programme_file::read(&text, 1, 0).unwrap_or_else(|findings| panic!("{expression}: {findings:?}"))
    };
    let took = |expression: &str| {
        let programme = with(expression);
        let began = Instant::now();
        earn(&programme, &basket, &worth, &Facts::default()).expect("worked out");
        began.elapsed()
    };
    let plain = took("true");
    for (what, expression) in [
        ("a list of 50 looked through", format!("tenders.all(t, {})", vec!["t!='points'"; 38].join("&&"))),
        ("sums", vec![vec!["total"; 18].join("+") + ">0"; 8].join("&&")),
        ("texts of 64 characters put together", vec!["sku"; 19].join("+") + "==''"),
        ("regular expressions", ["sku.matches('(a|aa)+$(b|bb)*.*.*.*x')"; 8].join("||")),
    ] {
        let took = took(&expression);
        eprintln!("{what}: {took:?} for the basket, {plain:?} without");
        assert!(took.as_secs() < 5, "{what} takes {took:?}");
    }
}
