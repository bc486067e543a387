//! The programme over HTTP: saved, checked, rolled back, and its history.

use serde::{Deserialize, Serialize};
use tessera_domain::campaigns::Campaign;
use tessera_domain::compile::Finding;
use tessera_domain::programme::Programme;
use tessera_domain::time::Moment;
use tessera_domain::versions::{Origin, Version};
use utoipa::ToSchema;

use crate::Text;
use crate::answer::instant;
use crate::programme_file::ProgrammeFile;

/// A programme to become the next version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveProgramme {
    /// Who saves it.
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "marketing")]
    pub author: Text,
    /// Why.
    #[serde(default)]
    #[schema(value_type = String, max_length = 200, example = "double points on fruit in May")]
    pub note: Text,
    #[schema(value_type = ProgrammeFile)]
    pub programme: serde_json::Value,
}

/// A programme to be looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckProgramme {
    #[schema(value_type = ProgrammeFile)]
    pub programme: serde_json::Value,
}

/// An earlier version to serve again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    #[schema(minimum = 1, maximum = 4_294_967_295_u64, example = 1)]
    pub version: u32,
    /// Who.
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "marketing")]
    pub author: Text,
    /// Why.
    #[serde(default)]
    #[schema(value_type = String, max_length = 200, example = "it gave too much")]
    pub note: Text,
}

/// Campaigns of the version that serves.
#[derive(Serialize, ToSchema, Debug)]
pub struct Campaigns<'a> {
    pub campaigns: Vec<CampaignShown<'a>>,
}

/// One of them.
#[derive(Serialize, ToSchema, Debug)]
pub struct CampaignShown<'a> {
    #[schema(example = "summer")]
    pub id: &'a str,
    /// Of its points.
    #[schema(example = "points")]
    pub wallet: &'a str,
    /// In the store's time, where no zone is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Points that one member gets of it, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<i64>,
    /// Points that all get of it, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<i64>,
    /// Of the budget: points that sales got, as of a minute ago at most; who looks makes the next look newer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<i64>,
}

impl<'a> CampaignShown<'a> {
    /// Renders one.
    #[must_use]
    pub fn of(programme: &'a Programme, campaign: &'a Campaign, given: Option<i64>) -> Self {
        let moment = |moment: Option<Moment>| moment.map(|moment| match moment {
            Moment::At(at) => instant(at),
            Moment::Local(local) => local.to_string(),
        });
        Self {
            id: &campaign.id,
            wallet: &programme.wallet(campaign.wallet).id,
            from: moment(campaign.from),
            until: moment(campaign.until),
            member: campaign.member,
            budget: campaign.budget,
            given,
        }
    }
}

/// A version of the programme.
#[derive(Serialize, ToSchema, Debug)]
pub struct VersionShown<'a> {
    #[schema(minimum = 1, example = 7)]
    pub version: u32,
    /// Since when it serves.
    #[schema(format = DateTime)]
    pub saved_at: String,
    #[schema(example = "marketing")]
    pub author: &'a str,
    pub note: &'a str,
    /// `file`: as found at a start; `request`; `rollback`: the text of an earlier version.
    #[schema(example = "request")]
    pub origin: &'static str,
    /// Of a rollback: the version whose text it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u32>,
}

/// A version with its text.
#[derive(Serialize, ToSchema, Debug)]
pub struct ProgrammeShown<'a> {
    #[serde(flatten)]
    pub version: VersionShown<'a>,
    #[schema(value_type = ProgrammeFile)]
    pub programme: serde_json::Value,
}

/// All versions, newest first.
#[derive(Serialize, ToSchema, Debug)]
pub struct Versions<'a> {
    pub versions: Vec<VersionShown<'a>>,
}

/// What is wrong with a programme, and what may surprise in it.
#[derive(Serialize, ToSchema, Debug)]
pub struct Checked {
    /// Whether it could be saved.
    pub good: bool,
    pub findings: Vec<Found>,
    pub warnings: Vec<Found>,
}

/// What is wrong, where, and what to do.
#[derive(Serialize, ToSchema, Debug)]
pub struct Found {
    /// JSON pointer into the programme.
    #[schema(example = "/earn/2/points")]
    pub field: String,
    pub text: String,
}

impl From<&Finding> for Found {
    fn from(finding: &Finding) -> Self {
        let field = if finding.path.is_empty() { String::new() } else { format!("/{}", finding.path.replace('.', "/").replace("~2", ".")) };
        Self { field, text: finding.text.clone() }
    }
}

impl<'a> From<&'a Version> for VersionShown<'a> {
    fn from(version: &'a Version) -> Self {
        let (origin, of) = match version.origin {
            Origin::File => ("file", None),
            Origin::Request => ("request", None),
            Origin::Rollback(of) => ("rollback", Some(of)),
        };
        Self { version: version.number, saved_at: instant(version.saved_at), author: &version.author, note: &version.note, origin, of }
    }
}
