//! What a sale gets of campaigns (rule 6), and what it gives back of them.

use smallvec::SmallVec;

use super::Draft;
use crate::basket::{Basket, Worth};
use crate::campaigns::{CampaignKey, Room};
use crate::earn::{Earned, Facts};
use crate::programme::Programme;
use crate::record::{Event, Sale, SaleLeft};
use crate::{Code, Rejection};

/// Room under what one member gets of each campaign.
pub(super) fn rooms(draft: &Draft<'_>, programme: &Programme) -> SmallVec<[Room; 0]> {
    let of = |(place, campaign): (u16, &crate::campaigns::Campaign)| {
        let most = campaign.member?;
        Some(Room { campaign: place, member: Some(most.saturating_sub(draft.campaign_got(campaign.key)).max(0)), budget: None })
    };
    (0_u16..).zip(&programme.campaigns).filter_map(of).collect()
}

/// Works out the awards; where the sale wants something of a budget, what is left of that is taken first.
pub(super) fn earn(draft: &mut Draft<'_>, programme: &Programme, basket: &Basket, worth: &Worth, facts: &mut Facts) -> Result<Earned, Rejection> {
    let mut earned = crate::earn::earn(programme, basket, worth, facts)?;
    if earned.campaigns.is_empty() {
        return Ok(earned);
    }
    let budgets = draft.context.budgets;
    let mut taken: SmallVec<[(u16, CampaignKey, i64); 0]> = SmallVec::new();
    let mut short = false;
    for share in &earned.campaigns {
        let Some(campaign) = programme.campaigns.get(usize::from(share.campaign)) else { continue };
        // The budget is today's, also of a late sale, whose own version may have had none.
        let today = draft.programme.campaigns.iter().find(|of| of.key == campaign.key).and_then(|of| of.budget);
        let Some(budget) = today.or(campaign.budget) else { continue };
        let Some(part) = budgets.take(campaign.key, budget, share.wanted) else {
            taken.iter().for_each(|(_, key, part)| budgets.taken(*key, *part));
            return Err(Rejection::new(Code::BudgetPending, "", "what is left of a campaign's budget is being asked for; send the same again"));
        };
        taken.push((share.campaign, campaign.key, part));
        if part < share.wanted {
            short = true;
            room(facts, share.campaign).budget = Some(part);
        }
    }
    if short {
        // What is cut earns otherwise.
        match crate::earn::earn(programme, basket, worth, facts) {
            Ok(cut) => earned = cut,
            Err(no) => {
                taken.iter().for_each(|(_, key, part)| budgets.taken(*key, *part));
                return Err(no);
            }
        }
    }
    for (place, key, part) in taken {
        // Only what is left after all caps is charged, and that is the room that a return sees.
        let got = earned.campaigns.iter().find(|share| share.campaign == place).map_or(0, |share| share.got);
        budgets.taken(key, part - got);
        draft.taken.push((key, got));
        room(facts, place).budget = Some(got);
    }
    Ok(earned)
}

fn room(facts: &mut Facts, campaign: u16) -> &mut Room {
    let at = facts.campaigns.iter().position(|room| room.campaign == campaign).unwrap_or_else(|| {
        facts.campaigns.push(Room { campaign, ..Room::default() });
        facts.campaigns.len() - 1
    });
    &mut facts.campaigns[at]
}

/// Counts what the sale got, and keeps the room that there was, where it is not that of a member who has got nothing yet.
pub(super) fn count(draft: &mut Draft<'_>, programme: &Programme, facts: &Facts, earned: &Earned) -> SmallVec<[(Room, i64); 0]> {
    let mut kept = SmallVec::new();
    for (place, campaign) in (0_u16..).zip(&programme.campaigns) {
        let room = facts.campaigns.iter().find(|room| room.campaign == place).copied().unwrap_or(Room { campaign: place, ..Room::default() });
        let got = earned.campaigns.iter().find(|share| share.campaign == place).map(|share| share.got);
        if got.is_some() || room.member != campaign.member {
            kept.push((room, got.unwrap_or(0)));
        }
        if let Some(points @ 1..) = got {
            draft.emit(Event::CampaignUsed { campaign: campaign.key, points, charged: room.budget.is_some() });
        }
    }
    kept
}

/// The room that a return sees: what the sale recorded. Of a campaign of which that says nothing, all that one member may get, and
/// nothing of a budget, which was not asked.
pub(super) fn recorded(sale: &Sale, programme: &Programme) -> SmallVec<[Room; 0]> {
    let of = |(place, campaign): (u16, &crate::campaigns::Campaign)| {
        let known = sale.campaigns.iter().find(|(room, _)| room.campaign == place).map(|(room, _)| *room);
        known.unwrap_or(Room { campaign: place, member: campaign.member, budget: campaign.budget.map(|_| 0) })
    };
    (0_u16..).zip(&programme.campaigns).map(of).collect()
}

/// Frees what the kept goods would not have got: room of the member for later sales; nothing goes back to a budget.
pub(super) fn take_back(draft: &mut Draft<'_>, programme: &Programme, earned: &Earned, left: &mut SaleLeft) {
    for (place, had) in &mut left.campaigns {
        let kept = earned.campaigns.iter().find(|share| share.campaign == *place).map_or(0, |share| share.got).min(*had);
        if let Some(campaign) = programme.campaigns.get(usize::from(*place)).filter(|_| kept < *had) {
            draft.emit(Event::CampaignUsed { campaign: campaign.key, points: kept - *had, charged: false });
        }
        *had = kept;
    }
}
