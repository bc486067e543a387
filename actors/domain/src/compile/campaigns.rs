//! Campaigns, and which rules belong to them.

use jiff::tz::TimeZone;

use super::wallets::wallet;
use super::{Findings, Source};
use crate::Text;
use crate::campaigns::{Campaign, CampaignKey};
use crate::earn::MAX_POINTS;

/// Campaigns of one programme, at most.
pub(super) const MAX_CAMPAIGNS: usize = 1_000;

pub(super) fn campaigns(findings: &mut Findings, source: &Source, zone: &TimeZone) -> Vec<Campaign> {
    let mut all = Vec::with_capacity(source.campaigns.len());
    for (place, written) in source.campaigns.iter().enumerate() {
        let at = format!("campaign.{place}");
        findings.unless(!written.id.trim().is_empty() && written.id.len() <= 64, format!("{at}.id"), "an id has 1 to 64 bytes");
        findings.unless(source.campaigns[..place].iter().all(|other| other.id != written.id), format!("{at}.id"), "another campaign has this id");
        let good = |points: Option<i64>| points.is_none_or(|points| (1..=MAX_POINTS).contains(&points));
        findings.unless(good(written.member), format!("{at}.member"), "1 or more points, in the wallet's smallest unit; leave it out for no most");
        findings.unless(good(written.budget), format!("{at}.budget"), "1 or more points, in the wallet's smallest unit; leave it out for no budget");
        if let (Some(from), Some(until)) = (written.from, written.until) {
            findings.unless(from.start(zone) < until.end(zone), format!("{at}.until"), "a window ends after it begins");
        }
        let used = |campaign: &Text| *campaign == written.id;
        let rules = source.rates.iter().map(|rule| &rule.campaign).chain(source.multipliers.iter().map(|rule| &rule.campaign)).chain(source.bonuses.iter().map(|rule| &rule.campaign));
        findings.unless(rules.into_iter().any(used), format!("{at}.id"), "no rule belongs to this campaign; name it in the campaign field of its rules");
        all.push(Campaign {
            id: written.id.clone(),
            key: CampaignKey::of(&written.id),
            wallet: wallet(findings, &format!("{at}.wallet"), &written.wallet, &source.wallets),
            from: written.from,
            until: written.until,
            member: written.member,
            budget: written.budget,
        });
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

/// The place of the campaign that a rule names.
pub(super) fn member_of(findings: &mut Findings, at: &str, id: &Text, of: &Text, source: &Source, campaigns: &[Campaign]) -> Option<u16> {
    if id.is_empty() {
        return None;
    }
    let Some(place) = campaigns.iter().position(|campaign| campaign.id == *id) else {
        findings.say(format!("{at}.campaign"), format!("there is no campaign {id:?}; add one, or name another"));
        return None;
    };
    let number = source.wallets.iter().position(|wallet| wallet.id == *of).unwrap_or(0);
    findings.unless(usize::from(campaigns[place].wallet) == number, format!("{at}.campaign"), "this campaign is of another wallet than the rule; a campaign is of one wallet");
    u16::try_from(place).ok()
}
