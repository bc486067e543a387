//! What a sale gets of campaigns (rule 6), and what it gives back of them.

use smallvec::SmallVec;

use super::Draft;
use crate::basket::{Basket, Worth};
use crate::campaigns::Room;
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
    let budgets = draft.context.budgets;
    let mut taken: SmallVec<[(u16, i64); 0]> = SmallVec::new();
    let mut short = false;
    for share in &earned.campaigns {
        let Some((campaign, budget)) = programme.campaigns.get(usize::from(share.campaign)).and_then(|campaign| Some((campaign, campaign.budget?))) else { continue };
        // Today's version may have given the campaign more, or less.
        let today = draft.programme.campaigns.iter().find(|of| of.key == campaign.key).and_then(|of| of.budget);
        let part = budgets.take(campaign.key, today.unwrap_or(budget), share.wanted).ok_or_else(pending)?;
        draft.taken.push((campaign.key, part));
        taken.push((share.campaign, part));
        if part < share.wanted {
            short = true;
            match facts.campaigns.iter_mut().find(|room| room.campaign == share.campaign) {
                Some(room) => room.budget = Some(part),
                None => facts.campaigns.push(Room { campaign: share.campaign, member: None, budget: Some(part) }),
            }
        }
    }
    if short {
        // What is cut earns otherwise.
        earned = crate::earn::earn(programme, basket, worth, facts)?;
    }
    for ((key, kept), (place, part)) in draft.taken.iter_mut().zip(taken) {
        // Only what is left after all caps is charged.
        let got = earned.campaigns.iter().find(|share| share.campaign == place).map_or(0, |share| share.got);
        if part > got {
            budgets.give_back(*key, part - got);
            *kept = got;
        }
    }
    Ok(earned)
}

fn pending() -> Rejection {
    Rejection::new(Code::BudgetPending, "", "what is left of a campaign's budget is being asked for; send the same again")
}

/// Counts what the sale got, and keeps the room that there was.
pub(super) fn count(draft: &mut Draft<'_>, programme: &Programme, facts: &Facts, earned: &Earned) -> SmallVec<[(Room, i64); 0]> {
    let mut got = SmallVec::new();
    for share in &earned.campaigns {
        let Some(campaign) = programme.campaigns.get(usize::from(share.campaign)) else { continue };
        let room = facts.campaigns.iter().find(|room| room.campaign == share.campaign).copied();
        if share.got > 0 {
            draft.emit(Event::CampaignUsed { campaign: campaign.key, points: share.got });
        }
        got.push((room.unwrap_or(Room { campaign: share.campaign, ..Room::default() }), share.got));
    }
    got
}

/// Frees what the kept goods would not have got: room of the member for later sales; nothing goes back to a budget.
pub(super) fn take_back(draft: &mut Draft<'_>, sale: &Sale, programme: &Programme, earned: &Earned, left: &mut SaleLeft) {
    debug_assert!(left.campaigns.len() <= sale.campaigns.len());
    for (place, had) in &mut left.campaigns {
        let kept = earned.campaigns.iter().find(|share| share.campaign == *place).map_or(0, |share| share.got).min(*had);
        if let Some(campaign) = programme.campaigns.get(usize::from(*place)).filter(|_| kept < *had) {
            draft.emit(Event::CampaignUsed { campaign: campaign.key, points: kept - *had });
        }
        *had = kept;
    }
}
