//! Golden bytes of everything stored, by name: what is written today is what was written when it shipped, and what was
//! written then is read today. From the first release on a file is never edited; a new layout gets new files beside the old ones.
//!
//! `TESSERA_WRITE_GOLDEN=1 cargo test -p tessera-codec` writes those that are missing.

use std::path::PathBuf;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use tessera_codec::{decode_beginning, decode_core, decode_page, decode_record, decode_version, encode_core, encode_page, encode_record, encode_version};
use tessera_domain::basket::{Allowed, Basket, HeadDiscount, Line, LineKind, ReturnOf, Tender};
use tessera_domain::command::{LineBack, Return, SaleName};
use tessera_domain::campaigns::{CampaignKey, Room};
use tessera_domain::earn::{Award, Source, WHOLE_BASKET};
use tessera_domain::goals::Part;
use tessera_domain::ids::{GoalKey, LotId, MemberId, PoolId};
use tessera_domain::keys::{KeyKind, Keys, NaturalKey, Page, TransactionId};
use tessera_domain::member::Member;
use tessera_domain::merge::{Absorbed, Journal};
use tessera_domain::number::{Decimal, Ratio};
use tessera_domain::profile::{Birthday, Change, Found};
use tessera_domain::record::{
    Alias, Asked, Back, Beginning, Body, Claim, Event, Figures, HoldEnd, Left, Movement, Notice, Offline, PoolHold, Record, Returned, Sale, SaleLeft, Share, Standing, Taken, TierWhy, Unlock,
};
use tessera_domain::time::Day;
use tessera_domain::wallet::Lot;
use tessera_domain::versions::{self, Origin, Save, VersionRecord};

const ENTITY: &[u8] = &[9; 22];
const AT: i64 = 1_780_315_200_000;
const POOL: PoolId = PoolId { founder: MemberId(8), seq: 3 };

fn lot(seq: u32, n: u16) -> LotId {
    LotId { seq, n }
}

fn keys() -> Keys {
    Keys {
        natural: Some(NaturalKey { source: "pos".into(), store: "367".into(), till: "4".into(), business_date: Day(20_600), sequence: "000173".into() }),
        transaction: Some(TransactionId { source: "pos".into(), id: "31198570044".into() }),
        content: Some(77),
    }
}

fn basket() -> Basket {
    let line = |id: &str, kind, returns| Line {
        id: id.into(),
        kind,
        sku: "1004906".into(),
        category: "PRODUCE/POTATOES, SWEET AND OTHERS".into(),
        brand: "National".into(),
        quantity: Decimal(750_000),
        unit: "kg".into(),
        amount: 139,
        discount: 60,
        tax: 5,
        voided: id == "2",
        returns,
    };
    let returns = ReturnOf { sale: 5, line: "7".into() };
    let kinds = [LineKind::Goods, LineKind::Service, LineKind::GiftCard, LineKind::Deposit, LineKind::Fee, LineKind::Donation];
    let mut lines: Vec<Line> = kinds.iter().zip(1..).map(|(kind, id)| line(&id.to_string(), *kind, None)).collect();
    lines.push(line("7", LineKind::Return, Some(returns)));
    Basket {
        source: "pos".into(),
        store: "367".into(),
        till: "4".into(),
        channel: "store".into(),
        customer_group: "staff".into(),
        occurred_at: AT,
        business_date: Some(Day(20_600)),
        currency: "USD".parse().expect("a currency"),
        prices_include_tax: true,
        lines,
        discounts: vec![HeadDiscount { amount: 10, lines: vec!["1".into()] }],
        tenders: vec![Tender { kind: "points".into(), amount: 79, wallet: "stars".into(), hold: Some(6), offline: None, lines: vec!["1".into()] }, Tender { kind: "card".into(), amount: 300, wallet: "".into(), hold: None, offline: None, lines: Vec::new() }],
        ext: r#"{"campaign":"spring"}"#.into(),
    }
}

fn back() -> Back {
    let left = SaleLeft { lines: vec![(0, 40, Decimal(0))], wallets: smallvec![Left { wallet: 0, kept: 3, restored: 2 }, Left { wallet: 1, kept: 0, restored: 0 }], metric: 3, parts: smallvec![Part { goal: 0, step: 1, amount: 40 }], campaigns: smallvec![(1, 2)] };
    Back { sale: 5, lines: vec![(0, 39, Decimal(750_000))], wallets: smallvec![Claim { wallet: 0, claimed: 4, restored: 2, unmet: 1 }, Claim { wallet: 1, claimed: 0, restored: 0, unmet: 0 }], left }
}

fn sale() -> Sale {
    let award = |line, source, points| Award { line, source, points };
    Sale {
        basket: Arc::new(basket()),
        keys: keys(),
        alias: Some(("card".into(), u128::MAX)),
        programme: 7,
        found: Found { tier: 1, first: true, day: Day(20_601), birthday: Birthday(5), segments: smallvec![0, 2] },
        tier_period: Day(20_454),
        day: Day(20_600),
        awards: vec![
            award(0, Source::Base(0), 3),
            award(0, Source::Multiplier(1), 5),
            award(WHOLE_BASKET, Source::Bonus(2), 50),
            award(0, Source::PurchaseCap(0), -1),
            award(0, Source::MemberCap(0), -2),
        ],
        campaigns: smallvec![(Room { campaign: 1, member: Some(5), budget: None }, 3)],
        shares: smallvec![
            Share { wallet: 0, earned: 55, pending: 10, burned: 79, paid: 79, room: Some(500), cap_period: Day(20_590) },
            Share { wallet: 1, earned: 0, pending: 0, burned: 5, paid: 10, room: None, cap_period: Day(20_600) },
        ],
        converted: smallvec![("EUR".parse().expect("a currency"), Ratio::new(27, 25))],
        metric: 55,
        parts: smallvec![Part { goal: 0, step: 1, amount: 79 }, Part { goal: 2, step: 0, amount: 1 }],
        standing: Standing { metric: 1_055, until: Day(20_818) },
        exchanged: vec![back()],
        waited: vec![(4, back())],
        refused: smallvec![1],
        notices: [Notice::TendersDiffer, Notice::UnknownStore, Notice::ReturnDoesNotFit, Notice::AllowanceExceeded].into_iter().collect(),
    }
}

/// Every kind of event once.
fn events() -> Vec<Event> {
    let (activated_at, expires_at) = (AT, AT + 1_000_000);
    let unlocks = [Unlock::At(AT), Unlock::Delivery { line: 2, deadline: AT }, Unlock::LastLine { not_before: i64::MIN, deadline: AT }];
    let mut moved: Vec<Movement> = unlocks.iter().map(|unlock| Movement::Issued { lot: lot(9, 1), points: 4, unlock: Some(*unlock), activated_at, expires_at }).collect();
    moved.extend([
        Movement::Issued { lot: lot(9, 0), points: 41, unlock: None, activated_at, expires_at: i64::MAX },
        Movement::Activated { lot: lot(3, 1), points: 4, activated_at, expires_at },
        Movement::Rescheduled { lot: lot(3, 1), unlock: Unlock::At(AT) },
        Movement::Spent { lot: lot(3, 0), points: 4, activated_at, expires_at },
        Movement::Held { lot: lot(3, 0), points: 4 },
        Movement::HeldSpent { hold: 6, lot: lot(3, 0), points: 4, activated_at, expires_at },
        Movement::Released { hold: 6, lot: lot(3, 0), points: 4 },
        Movement::Expired { lot: lot(3, 0), points: 4, at: AT },
        Movement::ClawedBack { lot: lot(3, 0), points: 4, pending: true },
        Movement::ExpiredCounted { lot: lot(3, 0), points: 4 },
        Movement::Reinstated { lot: lot(3, 0), points: 4, activated_at, expires_at },
        Movement::DebtRaised { points: 4 },
        Movement::DebtRepaid { lot: lot(3, 0), points: 4 },
        Movement::RepaymentUndone { lot: lot(3, 0), points: 4 },
        Movement::DebtWrittenOff { points: 4 },
        Movement::OwedRaised { of: LotId::sale(5), points: 4 },
        Movement::OwedMet { of: LotId::sale(5), lot: lot(3, 0), points: 4 },
        Movement::OwedRaised { of: lot(5, 1 << 15), points: 4 },
        Movement::AdjustedDown { lot: lot(3, 0), points: 4 },
        Movement::ExpiryMoved { expires_at },
        Movement::Lapsed { lot: lot(3, 1), points: 4, at: AT },
        Movement::Unexpired { lot: lot(3, 0), points: 4, expires_at },
        Movement::Given { lot: lot(3, 0), points: 4, activated_at, expires_at },
        Movement::GivenBack { lot: lot(3, 0), points: 3, activated_at, expires_at },
        Movement::GivenClaimed { lot: lot(3, 0), points: 1 },
        Movement::Gifted { lot: lot(9, 4), points: 4, activated_at, expires_at },
        Movement::Overdrawn { lot: lot(9, 1 << 15), points: 4, activated_at, expires_at },
        Movement::Lent { lot: lot(9, 0), points: 6, activated_at, expires_at },
        Movement::HeldFor { hold: 5, lot: lot(9, 0), points: 6 },
        Movement::SentHome { lot: lot(9, 0), points: 2 },
        Movement::MergedIn(Figures { available: 3, pending: 2, held: 1, debt: 0 }),
        Movement::MergedOut(Figures { available: 3, pending: 2, held: 1, debt: 0 }),
        Movement::Noticed { points: 41, until: AT + 86_400_000 },
        Movement::Sent { lot: lot(3, 0), points: 4 },
        Movement::Received { lot: lot(9, 3), points: 4, activated_at, expires_at },
    ]);
    moved.extend([HoldEnd::Confirmed, HoldEnd::Cancelled, HoldEnd::Expired].map(|end| Movement::HoldEnded { hold: 6, end }));
    let mut all: Vec<Event> = moved.iter().map(|movement| Event::Points(0, *movement)).collect();
    all.extend([
        Event::Points(1, Movement::Issued { lot: lot(9, 2), points: 100, unlock: None, activated_at, expires_at: i64::MAX }),
        Event::RoomUsed { wallet: 1, period: Day(20_590), points: -4 },
        Event::Metric { period: Day(20_454), amount: -4 },
        Event::Visit { day: Day(20_600), store: 99, count: -1 },
        Event::TierReviewed { period: Day(20_454) },
        Event::ReturnLapsed { seq: 77 },
        Event::AllowanceUsed { allowance: 7, counter: 2, points: 20 },
        Event::TierNoticed { period: Day(20_819), to: 0, at: AT },
        Event::CampaignUsed { campaign: CampaignKey(5), points: 3, charged: true },
        Event::TierGranted { goal: GoalKey(6), level: 1, since: AT, until: AT + 1_000_000 },
        Event::TierGranted { goal: GoalKey(7), level: 1, since: AT, until: AT + 1_000_000 },
        Event::TierGrantEnded { goal: GoalKey(6), level: 1, since: AT, at: AT + 10 },
        Event::Progressed { goal: GoalKey(6), step: 1, on: None, amount: 79, after: 500 },
        Event::Progressed { goal: GoalKey(7), step: 0, on: Some((Day(20_600), 99)), amount: 1, after: 3 },
        Event::Reached { goal: GoalKey(6), times: 2 },
        Event::Rewarded { goal: GoalKey(6), wallet: 1, lot: lot(9, 1 << 15), times: 2, each: 50 },
        Event::RewardedTier { goal: GoalKey(7), level: 1, since: AT, times: 1 },
        Event::RewardTaken { goal: GoalKey(6), lot: lot(9, 1 << 15), times: 1 },
    ]);
    all.extend([TierWhy::Reached, TierWhy::PeriodEnded, TierWhy::Withdrawn].map(|why| Event::TierChanged { from: 0, to: 1, at: AT, why }));
    all
}

fn records() -> Vec<(&'static str, Record)> {
    let usd = "USD".parse().expect("a currency");
    let alias = Alias { kind: "card".into(), hash: u128::MAX, tail: "4567".into() };
    let asked = |kind, sale| Return {
        kind,
        sale,
        lines: vec![LineBack { line: "1".into(), quantity: Some(Decimal(1)), amount: Some(39) }],
        currency: Some(usd),
        points_refund: Some(2),
        keys: keys(),
        occurred_at: AT,
        may_wait: true,
        receipt_used: false,
    };
    let bodies = [
        ("enrolled", Body::Enrolled { aliases: vec![alias.clone()], day: Day(20_600) }),
        ("purchased", Body::Purchased(Box::new(sale()))),
        ("hold_placed", Body::HoldPlaced { wallet: 1, points: 20, currency: Some(usd), value: 20, expires_at: AT, asked: Asked::Money(usd, 20), ttl_ms: Some(60_000), pool: None }),
        ("hold_confirmed", Body::HoldConfirmed { wallet: 1, hold: 6, points: 20, asked: Some(20) }),
        ("hold_cancelled", Body::HoldCancelled { hold: 6 }),
        ("redeemed", Body::Redeemed { wallet: 0, points: 20, currency: None, value: 0, asked: Asked::Points(20), offline: None }),
        ("redeemed offline", Body::Redeemed { wallet: 0, points: 20, currency: None, value: 0, asked: Asked::Points(20), offline: Some(Box::new(Offline { used: Allowed { allowance: 7, counter: 2 }, store: "367".into(), till: "4".into(), at: 1_700_000_000_000 })) }),
        ("allowed", Body::Allowed { wallet: 1, store: "367".into(), till: "4".into(), points: 500, not_after: 1_700_000_000_000, ttl_ms: Some(3_600_000) }),
        ("adjusted", Body::Adjusted { wallet: 0, points: -5, reason: "counted twice".into(), allow_debt: true, write_off: false }),
        ("returned", Body::Returned(Box::new(Returned { asked: asked(KeyKind::Return, SaleName::Seq(5)), back: back() }))),
        ("voided", Body::Returned(Box::new(Returned { asked: asked(KeyKind::Void, SaleName::Keys(keys())), back: back() }))),
        ("blind_returned", Body::BlindReturned { basket: Arc::new(basket()), keys: keys(), taken: smallvec![Taken { wallet: 0, claimed: 5, taken: 3 }] }),
        ("delivered", Body::Delivered { sale: 5, lines: vec![0, 2], asked: vec!["1".into()] }),
        ("reversed", Body::Reversed { wallet: 0, redemption: 8, points: 20 }),
        ("transferred", Body::Transferred { from: 0, to: 1, points: 10, received: 499 }),
        ("alias_added", Body::AliasAdded { alias }),
        ("tier_given", Body::TierGiven { grant: Some((2, Day(20_600))), reason: "a complaint".into() }),
        ("updated", Body::Updated(Box::new(Change { zone: Some("Europe/Berlin".into()), birthday: Some(Some((2, 29))), segments: Some(vec!["vip".into()]) }))),
        ("elapsed", Body::Elapsed),
        ("gave", Body::Gave { wallet: 0, points: 4, to: MemberId(u128::MAX) }),
        ("took", Body::Took { from: MemberId(7), gift: 12, wallet: 0, points: 4 }),
        ("take_refused", Body::TakeRefused { from: MemberId(7), gift: 13, wallet: 0 }),
        ("gift_settled", Body::GiftSettled { gift: 12, taken: false }),
        ("return_waits", Body::ReturnWaits(Box::new(asked(KeyKind::Return, SaleName::Keys(keys()))))),
        ("pool_hold", Body::HoldPlaced { wallet: 0, points: 30, currency: None, value: 0, expires_at: AT + 9, asked: Asked::Points(30), ttl_ms: None, pool: Some(Box::new(PoolHold { pool: POOL, parts: vec![(MemberId(9), 20)] })) }),
        ("pool_founded", Body::PoolFounded { founder: MemberId(8) }),
        ("pool_joined", Body::PoolJoined { pool: POOL }),
        ("pool_changed", Body::PoolChanged { pool: POOL, member: MemberId(9), joined: true }),
        ("pool_left", Body::PoolLeft { pool: POOL }),
        ("lent", Body::Lent { lender: MemberId(9), to: MemberId(8), hold: 5, wallet: 1, points: 20, pool: POOL }),
        ("lend_refused", Body::LendRefused { lender: MemberId(9), to: MemberId(8), hold: 5, wallet: 1 }),
        ("gathered", Body::Gathered { hold: 5, wallet: 0, complete: true, expires_at: AT + 9, loans: vec![(MemberId(9), vec![LotId { seq: 4, n: 1 }])] }),
        ("came_home", Body::CameHome { owner: MemberId(9), from: MemberId(8), seq: 6 }),
        ("homed", Body::Homed { seq: 6 }),
        ("absorbed", Body::Absorbed(Box::new(Absorbed { from: MemberId(8), merge: 9, part: 0, of: 1, place: 1, journals: vec![Journal { member: MemberId(8), records: 9, periods: vec![(Day(20_600), Day(20_454))] }, Journal { member: MemberId(7), records: 3, periods: Vec::new() }], state: Box::new(part()) }))),
        ("absorb_refused", Body::AbsorbRefused { from: MemberId(9), merge: 4 }),
        ("merged", Body::Merged { into: MemberId(8), merge: 9, place: Some(1) }),
        ("merging", Body::Merging { into: MemberId(8) }),
        ("alias_removed", Body::AliasRemoved { kind: "card".into(), hash: u128::MAX }),
    ];
    let after: SmallVec<[(u8, Figures); 1]> = smallvec![(0, Figures { available: 41, pending: 10, held: 4, debt: 0 }), (1, Figures { available: 100, pending: 0, held: 0, debt: 0 })];
    bodies.map(|(name, body)| (name, Record { at: AT, programme: 7, header: u128::MAX - 1, body, events: events(), after: after.clone(), tier: 1 })).into()
}

/// What another member brings.
fn part() -> Member {
    let mut part = Member { purchases: 2, ended_holds: vec![((1 << 24) + 7, HoldEnd::Confirmed)], ..Member::default() };
    part.wallets.resize_with(1, Default::default);
    part.wallets[0].live.push(Lot::new(lot((1 << 24) + 5, 0), 3, AT, AT + 9));
    part.keys.open = Page { fingerprints: vec![5], seqs: vec![(1 << 24) + 5], newest: AT };
    part
}

/// A member that has everything in its state; one that has gone has nothing.
fn member() -> Member {
    let mut member = Member::default();
    for (_, record) in records().into_iter().filter(|(name, _)| *name != "merged") {
        member.apply(&record);
    }
    member
}

/// Compares with the file; writes it when asked to and missing.
fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if !path.exists() && std::env::var_os("TESSERA_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{hex}\n")).expect("the golden folder can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} is missing", path.display()));
    assert_eq!(hex, kept.trim(), "{name} is written otherwise than when it shipped");
    bytes.to_vec()
}

#[test]
fn every_record() {
    for (name, record) in records() {
        let bytes = golden(&format!("record_v1_{name}"), &encode_record(ENTITY, 12, &record).expect("short enough"));
        let sale = if let Body::Purchased(sale) = &record.body { Some((sale.keys.clone(), sale.refused.clone())) } else { None };
        assert_eq!(decode_beginning(ENTITY, 12, &bytes), Ok(Beginning { at: record.at, events: record.events.clone(), sale }), "{name}");
        assert_eq!(decode_record(ENTITY, 12, &bytes), Ok(record), "{name}");
    }
}

#[test]
fn every_record_of_a_programme() {
    let save = |origin| Save { after: 6, author: "marketing".into(), note: "spring".into(), origin, digest: u128::MAX, parts: vec![1, 2] };
    let bodies = [
        ("kept", versions::Body::Kept { part: [1, 2, 3].into() }),
        ("saved_file", versions::Body::Saved(save(Origin::File))),
        ("saved_request", versions::Body::Saved(save(Origin::Request))),
        ("saved_rollback", versions::Body::Saved(save(Origin::Rollback(3)))),
    ];
    for (name, body) in bodies {
        let record = VersionRecord { at: AT, body };
        let bytes = golden(&format!("version_v1_{name}"), &encode_version(ENTITY, 12, &record).expect("short enough"));
        assert_eq!(decode_version(ENTITY, 12, &bytes), Ok(record), "{name}");
    }
}

#[test]
fn the_core_page_and_a_key_page() {
    let member = member();
    let bytes = golden("core_v1", &encode_core(ENTITY, &member).expect("short enough"));
    let (read, sealed) = decode_core(ENTITY, member.seq, &bytes).expect("readable");
    assert_eq!((read, sealed.keys, sealed.headers), (member, (0, 0), (0, 0)));
    let page = Page { fingerprints: vec![1, 5, u64::MAX], seqs: vec![3, 2, 1], newest: AT };
    let bytes = golden("key_page_v1", &encode_page(ENTITY, 1, &page).expect("short enough"));
    assert_eq!(decode_page(ENTITY, 1, &bytes), Ok(page));
}
