//! What finance and marketing ask for: the roll-forward, the liability, closes, and what is worked out as a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tessera_domain::finance::ifrs15::Cohorts;
use tessera_domain::finance::{Column, DayRow, Kind, Posting, RollForward};
use tessera_domain::ids::MemberId;
use tessera_domain::programme::Programme;
use tessera_domain::receipts::{Exception, Why};
use tessera_domain::simulate::Totals;
use tessera_domain::time::Day;
use utoipa::ToSchema;

use crate::Text;
use crate::answer::instant;
use crate::programme_file::ProgrammeFile;

/// Closes accounting days.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseDays {
    /// The last day to be closed; it is over.
    #[schema(value_type = String, format = Date, example = "2026-10-31")]
    pub through: Text,
    /// Who closes.
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "finance")]
    pub author: Text,
}

/// From one day to another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Days {
    #[schema(value_type = String, format = Date, example = "2026-10-01")]
    pub from: Text,
    #[schema(value_type = String, format = Date, example = "2026-10-31")]
    pub to: Text,
}

/// A draft programme over what arrived in a time.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulate {
    #[schema(value_type = ProgrammeFile)]
    pub programme: serde_json::Value,
    /// Absent: from the beginning.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00Z")]
    pub from: Option<Text>,
    /// Absent: until now.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-07-01T00:00:00Z")]
    pub to: Option<Text>,
}

/// Something that takes a while.
#[derive(Serialize, ToSchema, Debug)]
pub struct JobShown {
    #[schema(example = "job_5")]
    pub id: String,
    /// `waiting`, `running`, `done` or `failed`.
    pub state: &'static str,
    /// Records read, or lines of a batch done, of so many.
    #[schema(minimum = 0)]
    pub done: u64,
    #[schema(minimum = 0)]
    pub of: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What came of it; of a journal or a batch see `…/result`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub result: Option<serde_json::Value>,
}

/// The roll-forward.
#[derive(Serialize, ToSchema, Debug)]
pub struct RollForwardShown<'a> {
    pub days: Vec<DayShown<'a>>,
}

/// One accounting day of one wallet, in its smallest unit.
#[derive(Serialize, ToSchema, Debug)]
pub struct DayShown<'a> {
    #[schema(example = "points")]
    pub wallet: &'a str,
    #[schema(format = Date, example = "2026-10-31")]
    pub day: String,
    pub pending: ColumnShown,
    pub active: ColumnShown,
}

/// `closing` is `opening` and all between.
#[derive(Serialize, ToSchema, Debug)]
pub struct ColumnShown {
    pub opening: i64,
    #[schema(value_type = HashMap<String, i64>)]
    pub moved: BTreeMap<&'static str, i64>,
    pub closing: i64,
}

impl<'a> DayShown<'a> {
    /// Renders a row.
    #[must_use]
    pub fn of(programme: &'a Programme, row: &DayRow) -> Self {
        let column = |column: Column, place: usize| ColumnShown {
            opening: row.opening[place],
            moved: row.flows.iter().filter(|((of, _), points)| *of == column && **points != 0).map(|((_, kind), points)| (kind.as_str(), *points)).collect(),
            closing: row.closing[place],
        };
        Self { wallet: &programme.wallet(row.wallet).id, day: row.day.date().to_string(), pending: column(Column::Pending, 0), active: column(Column::Active, 1) }
    }
}

/// A roll-forward as CSV (RFC 4180).
#[must_use]
pub fn roll_forward_csv(rows: &[DayShown<'_>]) -> String {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let mut text = format!("wallet,day,column,opening,{},closing\r\n", kinds.join(","));
    for row in rows {
        for (name, column) in [("pending", &row.pending), ("active", &row.active)] {
            let moved: Vec<String> = kinds.iter().map(|kind| column.moved.get(kind).copied().unwrap_or(0).to_string()).collect();
            text.push_str(&format!("{},{},{name},{},{},{}\r\n", quoted(row.wallet), row.day, column.opening, moved.join(","), column.closing));
        }
    }
    text
}

/// First line of a journal.
pub const JOURNAL_HEAD: &str = "accounting_day,own_day,member,seq,wallet,column,kind,points\r\n";

/// A line of a journal as CSV.
#[must_use]
pub fn journal_line(programme: &Programme, member: MemberId, seq: u64, posting: &Posting, accounting: Day) -> String {
    let column = if posting.column == Column::Pending { "pending" } else { "active" };
    let wallet = quoted(&programme.wallet(posting.wallet).id);
    format!("{},{},{member},{seq},{wallet},{column},{},{}\r\n", accounting.date(), posting.day.date(), posting.kind.as_str(), posting.points)
}

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// What is owed to members.
#[derive(Serialize, ToSchema, Debug)]
pub struct Liability<'a> {
    #[schema(format = Date)]
    pub day: String,
    pub wallets: Vec<WalletLiability<'a>>,
}

/// Of one wallet.
#[derive(Serialize, ToSchema, Debug)]
pub struct WalletLiability<'a> {
    #[schema(example = "points")]
    pub wallet: &'a str,
    #[schema(minimum = 0, maximum = 3)]
    pub decimals: u8,
    pub pending: i64,
    /// Less debt.
    pub active: i64,
    /// Share that is expected to be redeemed.
    #[schema(example = "0.95")]
    pub expected_redemption: String,
    /// Points that are expected never to be redeemed.
    pub breakage: i64,
    /// What all are worth, and what those expected to be redeemed are, in minor units by currency.
    #[schema(value_type = HashMap<String, Worth>)]
    pub value: BTreeMap<String, Worth>,
}

/// Minor units.
#[derive(Serialize, ToSchema, Debug)]
pub struct Worth {
    pub full: i64,
    pub expected: i64,
}

/// Renders the liability as of a day.
#[must_use]
pub fn liability<'a>(programme: &'a Programme, book: &RollForward, day: Day) -> Liability<'a> {
    let of = |number: u8| {
        let rules = programme.wallet(number);
        let [pending, active] = book.closing(number, day);
        let rate = rules.expected_redemption(day);
        let all = pending + active;
        let expected = tessera_domain::number::mul_div_floor(all, rate.num, rate.den).unwrap_or(0);
        let worth = |points: i64, currency| programme.money(number, points, currency).unwrap_or(0);
        let value = rules.values.keys().map(|currency| (currency.as_str().to_owned(), Worth { full: worth(all, *currency), expected: worth(expected, *currency) }));
        WalletLiability { wallet: &rules.id, decimals: rules.decimals, pending, active, expected_redemption: decimal(rate.num, rate.den), breakage: all - expected, value: value.collect() }
    };
    Liability { day: day.date().to_string(), wallets: programme.numbers().map(of).collect() }
}

/// A share with up to six decimals, as programmes write it.
fn decimal(num: i64, den: i64) -> String {
    let millionths = tessera_domain::number::mul_div_floor(num, 1_000_000, den).unwrap_or(0);
    tessera_domain::number::Decimal(millionths).to_string()
}

/// Closes so far.
#[derive(Serialize, ToSchema, Debug)]
pub struct ClosesShown<'a> {
    pub closes: Vec<CloseShown<'a>>,
}

/// One close.
#[derive(Serialize, ToSchema, Debug)]
pub struct CloseShown<'a> {
    #[schema(format = Date)]
    pub through: String,
    #[schema(format = DateTime)]
    pub at: String,
    #[schema(value_type = String, example = "finance")]
    pub author: Text,
    /// By wallet: what it closed at.
    #[schema(value_type = HashMap<String, Closing>)]
    pub closing: BTreeMap<&'a str, Closing>,
}

/// Points of a wallet at a close.
#[derive(Serialize, ToSchema, Debug)]
pub struct Closing {
    pub pending: i64,
    pub active: i64,
}

/// IFRS 15 for a period, in minor units.
#[derive(Serialize, ToSchema, Debug)]
pub struct Ifrs15 {
    pub cohorts: Vec<CohortShown>,
    /// Points without a sale, and what members owe.
    pub apart: Vec<ApartShown>,
}

/// One cohort.
#[derive(Serialize, ToSchema, Debug)]
pub struct CohortShown {
    pub wallet: String,
    pub currency: String,
    #[schema(example = "2026-10")]
    pub month: String,
    /// What of the price was for points.
    pub allocated: i64,
    /// Of it, revenue so far, and in the period.
    pub revenue: i64,
    pub revenue_of_period: i64,
    /// Not yet earned.
    pub deferred: i64,
    pub points: i64,
    pub redeemed: i64,
    pub live: i64,
}

/// Points apart from sales.
#[derive(Serialize, ToSchema, Debug)]
pub struct ApartShown {
    pub wallet: String,
    /// Rewards, adjustments and transfers that are still there, in points.
    pub provision: i64,
    /// Debt, in points.
    pub receivable: i64,
}

/// Renders cohorts as of the day before a period and of its last day.
#[must_use]
pub fn ifrs15(programme: &Programme, (before, eve): (&Cohorts, Day), (after, end): (&Cohorts, Day)) -> Ifrs15 {
    let one = |(key, cohort): (&tessera_domain::finance::ifrs15::CohortKey, &tessera_domain::finance::ifrs15::Cohort)| {
        let rules = programme.wallet(key.wallet);
        let rates = [eve, end].map(|day| rules.expected_redemption(day));
        let (allocated, revenue) = (cohort.allocated(key.currency), cohort.revenue(key.currency, rates[1]));
        let month = key.month.date().to_string();
        CohortShown {
            wallet: rules.id.to_string(),
            currency: key.currency.as_str().to_owned(),
            month: month[..month.len() - 3].to_owned(),
            allocated,
            revenue,
            revenue_of_period: cohort.revenue_of_period(before.all.get(key), key.currency, rates),
            deferred: allocated - revenue,
            points: cohort.points,
            redeemed: cohort.redeemed,
            live: cohort.live,
        }
    };
    let apart = after.apart.iter().map(|(wallet, apart)| ApartShown { wallet: programme.wallet(*wallet).id.to_string(), provision: apart.provision, receivable: apart.receivable });
    Ifrs15 { cohorts: after.all.iter().map(one).collect(), apart: apart.collect() }
}

/// What a draft would have done.
#[derive(Serialize, ToSchema, Debug)]
pub struct Simulated {
    pub members: u64,
    pub purchases: u64,
    /// Commands that the draft would have refused, by code.
    pub refused: BTreeMap<&'static str, u64>,
    pub wallets: BTreeMap<String, SimulatedWallet>,
    /// Points given at each tier, by wallet.
    pub by_tier: Vec<SimulatedTier>,
    /// Members by the tier in which they end.
    pub members_by_tier: BTreeMap<String, RealAndDraft>,
    /// By the first wallet.
    pub gain_most: Vec<Difference>,
    pub lose_most: Vec<Difference>,
}

/// Really, and by the draft.
#[derive(Serialize, ToSchema, Debug)]
pub struct RealAndDraft {
    pub real: i64,
    pub draft: i64,
}

/// Of one wallet, in its smallest unit.
#[derive(Serialize, ToSchema, Debug)]
pub struct SimulatedWallet {
    /// By purchases of the time.
    pub given: RealAndDraft,
    pub closing: RealAndDraft,
    /// What the draft gives more, in minor units by currency; negative: less.
    pub cost: BTreeMap<String, i64>,
}

/// Points given at a tier.
#[derive(Serialize, ToSchema, Debug)]
pub struct SimulatedTier {
    pub tier: String,
    pub wallet: String,
    #[serde(flatten)]
    pub given: RealAndDraft,
}

/// A member's difference in points.
#[derive(Serialize, ToSchema, Debug)]
pub struct Difference {
    pub member: String,
    pub points: i64,
}

/// Renders a simulation by the draft's names.
#[must_use]
pub fn simulated(draft: &Programme, totals: &Totals) -> Simulated {
    let wallet = |number: u8| draft.wallet(number).id.to_string();
    let tier = |level: u8| draft.tiers.levels.get(usize::from(level)).map_or_else(|| format!("tier {level}"), |level| level.id.to_string());
    let both = |[real, draft]: [i64; 2]| RealAndDraft { real, draft };
    let of = |(number, totals): (&u8, &tessera_domain::simulate::WalletTotals)| {
        let more = totals.given[1] - totals.given[0];
        let money = |currency| draft.money(*number, more.abs(), currency).unwrap_or(0) * more.signum();
        let cost = draft.wallet(*number).values.keys().map(|currency| (currency.as_str().to_owned(), money(*currency))).collect();
        (wallet(*number), SimulatedWallet { given: both(totals.given), closing: both(totals.closing), cost })
    };
    let count = |members: u64| i64::try_from(members).unwrap_or(i64::MAX);
    let named = |list: &[(i64, MemberId)]| list.iter().map(|(points, member)| Difference { member: member.to_string(), points: *points }).collect();
    Simulated {
        members: totals.members,
        purchases: totals.purchases,
        refused: totals.refused.clone(),
        wallets: totals.wallets.iter().map(of).collect(),
        by_tier: totals.by_tier.iter().map(|((level, number), given)| SimulatedTier { tier: tier(*level), wallet: wallet(*number), given: both(*given) }).collect(),
        members_by_tier: totals.tiers.iter().map(|(level, members)| (tier(*level), both(members.map(count)))).collect(),
        gain_most: named(&totals.gain),
        lose_most: named(&totals.lose),
    }
}

/// Staff have looked at an exception.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseException {
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "support")]
    pub author: Text,
    #[serde(default)]
    #[schema(value_type = String, max_length = 200, example = "the second card is the partner's")]
    pub note: Text,
}

/// What staff must look at.
#[derive(Serialize, ToSchema, Debug)]
pub struct ExceptionsShown {
    pub exceptions: Vec<ExceptionShown>,
    /// Cursor of the next page; absent: this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One thing to look at.
#[derive(Serialize, ToSchema, Debug)]
pub struct ExceptionShown {
    #[schema(example = "exc_3")]
    pub id: String,
    /// `receipt_used`: two members used one receipt, and this one's purchase was taken back; `return_without_sale`: a return waited
    /// 90 days for its sale; `allowance_exceeded`: a till sold more for points than it was allowed, and nothing was taken for it.
    #[schema(example = "receipt_used")]
    pub why: &'static str,
    pub member: String,
    /// The entry of the member's statement that it is about.
    pub seq: u64,
    #[schema(format = DateTime)]
    pub opened_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub closed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Renders an exception.
#[must_use]
pub fn exception(number: u64, one: &Exception) -> ExceptionShown {
    let closed = one.closed.as_ref();
    ExceptionShown {
        id: format!("exc_{number}"),
        why: match one.why {
            Why::ReceiptUsed => "receipt_used",
            Why::ReturnWithoutSale => "return_without_sale",
            Why::AllowanceExceeded => "allowance_exceeded",
        },
        member: one.member.to_string(),
        seq: one.seq,
        opened_at: instant(one.opened_at),
        closed_at: closed.map(|(at, ..)| instant(*at)),
        closed_by: closed.map(|(_, author, _)| author.to_string()),
        note: closed.map(|(.., note)| note.to_string()),
    }
}

/// One write of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchLine<'a> {
    /// Where it would be posted to.
    #[schema(value_type = String, max_length = 200, pattern = "^/v1/(purchases|returns|voids|claims|redemptions|allowances|holds|members)(/[0-9A-Za-z_:-]+)*$", example = "/v1/purchases")]
    pub path: Text,
    /// The header that it would have.
    #[schema(value_type = Option<String>, pattern = "^[ -~]{1,255}$")]
    pub idempotency_key: Option<Text>,
    /// As it would be posted.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    pub body: &'a serde_json::value::RawValue,
}
