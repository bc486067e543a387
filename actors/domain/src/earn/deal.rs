//! From exact shares to whole points: rounded once, dealt out, cut by caps.

use super::{Award, Source, index16};
use crate::number::{Wide, round};
use crate::programme::WalletRules;

/// The exact points of one rule on one line, over a denominator that all shares have.
pub(super) struct Share<W> {
    pub(super) line: usize,
    pub(super) source: Source,
    pub(super) num: W,
}

/// Rounds the sum once and deals it out (rule 1).
pub(super) fn deal<W: Wide>(wallet: &WalletRules, shares: &[Share<W>], den: &W) -> Option<Vec<Award>> {
    let mut sum = W::zero();
    for share in shares {
        sum = sum.checked_add(&share.num)?;
    }
    let total = round(&sum, den, wallet.rounding)?;
    let mut dealt = 0_i64;
    let mut parts = Vec::with_capacity(shares.len());
    for share in shares {
        let (floor, rest) = share.num.div_rem(den);
        let floor = floor.to_i64()?;
        dealt = dealt.checked_add(floor)?;
        parts.push((floor, rest));
    }
    // Shares stand in the order (place of the line, order of the rules): a stable sort keeps it for ties.
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| parts[*b].1.cmp(&parts[*a].1));
    for index in order.into_iter().take(usize::try_from(total.checked_sub(dealt)?).unwrap_or(0)) {
        parts[index].0 += 1;
    }
    let awards = shares.iter().zip(parts).filter(|(_, (points, _))| *points > 0);
    Some(awards.map(|(share, (points, _))| Award { line: index16(share.line), source: share.source, points }).collect())
}

/// Cuts what was added last first: bonuses, multipliers, base, each from the last line. What is cut
/// stands beside what it was cut from, so that the awards of a line still add up. `left`: what earlier
/// caps have left of each award; `points`: of those that the cap is `of`, all together.
pub(super) fn cap(awards: &mut Vec<Award>, left: &mut Vec<i64>, points: i64, room: Option<i64>, source: Source, of: impl Fn(&Award) -> bool) -> i64 {
    let Some(room) = room.map(|room| room.max(0)).filter(|room| points > *room) else { return points };
    let layer = |award: &Award| match award.source {
        Source::Bonus(_) => 0,
        Source::Multiplier(_) => 1,
        Source::Base(_) | Source::CampaignCap(_) | Source::CampaignBudget(_) | Source::PurchaseCap(_) | Source::MemberCap(_) => 2,
    };
    let mut order: Vec<usize> = (0..awards.len()).filter(|i| left[*i] > 0 && of(&awards[*i])).collect();
    // Within a layer from the last line; of one line, the rule added last.
    order.sort_by_key(|i| (layer(&awards[*i]), std::cmp::Reverse((awards[*i].line, *i))));
    let mut excess = points - room;
    let mut cuts: Vec<Award> = Vec::new();
    for index in order {
        let cut = excess.min(left[index]);
        if cut == 0 {
            break;
        }
        left[index] -= cut;
        excess -= cut;
        let line = awards[index].line;
        match cuts.iter_mut().find(|earlier| earlier.line == line) {
            Some(earlier) => earlier.points -= cut,
            None => cuts.push(Award { line, source, points: -cut }),
        }
    }
    left.extend(cuts.iter().map(|_| 0));
    awards.append(&mut cuts);
    room
}
