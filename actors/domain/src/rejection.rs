//! The closed list of noes. A rejection is final, shown to the caller, and nothing is remembered of it.

use crate::Text;

/// A business no.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// Stable, for programs.
    pub code: Code,
    /// JSON pointer to the field of the request; empty when it is none in particular.
    pub field: Text,
    /// A sentence that says what to do.
    pub detail: Text,
}

impl Rejection {
    /// A rejection that points at a field.
    pub fn new(code: Code, field: impl Into<Text>, detail: &str) -> Self {
        Self { code, field: field.into(), detail: detail.into() }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $class:ident;)*) => {
        /// What is wrong.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable code.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What kind of no it is.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }
        }
    };
}

/// Kinds of noes, as HTTP tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// There is no such thing.
    NotFound,
    /// The state says no now.
    Conflict,
    /// The content is wrong.
    Content,
    /// Larger than a record may be.
    TooLarge,
    /// What it was based on is not what stands now.
    Precondition,
}

codes! {
    /// No such member.
    UnknownMember = "unknown_member", NotFound;
    /// No member holds this alias.
    UnknownAlias = "unknown_alias", NotFound;
    /// No such purchase, or not of this member.
    UnknownSale = "unknown_sale", NotFound;
    /// No such hold.
    UnknownHold = "unknown_hold", NotFound;
    /// No such allowance.
    UnknownAllowance = "unknown_allowance", NotFound;
    /// No such redemption.
    UnknownRedemption = "unknown_redemption", NotFound;
    /// Another member holds this alias.
    AliasTaken = "alias_taken", Conflict;
    /// A key of this request was used with other content, or its keys name different things.
    KeyConflict = "key_conflict", Conflict;
    /// Fewer points are available than asked for.
    InsufficientPoints = "insufficient_points", Conflict;
    /// The hold ended by its time and its points are gone.
    HoldExpired = "hold_expired", Conflict;
    /// The hold was confirmed before.
    HoldConfirmed = "hold_confirmed", Conflict;
    /// The hold was cancelled before.
    HoldCancelled = "hold_cancelled", Conflict;
    /// A reminder came, and nothing was due.
    NothingDue = "nothing_due", Conflict;
    /// Too many allowances are open.
    TooManyAllowances = "too_many_allowances", Conflict;
    /// More is spent than the allowance says, or outside its time, or under a counter that was used.
    AllowanceExceeded = "allowance_exceeded", Conflict;
    /// Too many holds are open.
    TooManyHolds = "too_many_holds", Conflict;
    /// The redemption was reversed before.
    AlreadyReversed = "already_reversed", Conflict;
    /// The redemption is a tender of a purchase and goes back only with it.
    BelongsToPurchase = "belongs_to_purchase", Conflict;
    /// More comes back than is left of the sale.
    ExceedsSale = "exceeds_sale", Conflict;
    /// The receipt counts for another member.
    ReceiptUsed = "receipt_used", Conflict;
    /// The other member did not take the points: they are back.
    GiftRefused = "gift_refused", Conflict;
    /// What is left of a campaign's budget is not known here yet.
    BudgetPending = "budget_pending", Conflict;
    /// The member is in a pool already.
    InPool = "in_pool", Conflict;
    /// The member is in no such pool.
    NotInPool = "not_in_pool", Conflict;
    /// The pool has as many members as it may have.
    PoolFull = "pool_full", Conflict;
    /// The member cannot go into the other one now.
    MergeRefused = "merge_refused", Conflict;
    /// The member goes, or has gone, into another one.
    MemberMerged = "member_merged", Conflict;
    /// Records of a member that has gone into this one are needed.
    RecordsElsewhere = "records_elsewhere", Conflict;
    /// The hold still waits for the points of others.
    HoldPending = "hold_pending", Conflict;
    /// Staff have given no tier that could end.
    NoGrant = "no_grant", Conflict;
    /// The line has been delivered, or never waited for it.
    NotPending = "not_pending", Conflict;
    /// The content breaks a rule; the detail says which.
    Invalid = "invalid", Content;
    /// A name of a line that is not there.
    UnknownLine = "unknown_line", Content;
    /// A discount larger than what it falls on.
    DiscountExceeds = "discount_exceeds", Content;
    /// Points pay more than the lines they fall on.
    TenderExceeds = "tender_exceeds", Content;
    /// Another currency than the sale's, or one in which the wallet has no value.
    CurrencyMismatch = "currency_mismatch", Content;
    /// A time too far from now or from its business date (rule 2).
    Clock = "clock", Content;
    /// A figure does not fit.
    Overflow = "overflow", Content;
    /// A type of alias that the programme does not know.
    UnknownAliasType = "unknown_alias_type", Content;
    /// The programme has no rate between these wallets.
    NoTransferRate = "no_transfer_rate", Content;
    /// A wallet that the programme does not have.
    UnknownWallet = "unknown_wallet", Content;
    /// This version does not do it.
    NotSupported = "not_supported", Content;
    /// No such version of the programme.
    UnknownVersion = "unknown_version", NotFound;
    /// No such exception, or it is closed.
    UnknownException = "unknown_exception", NotFound;
    /// No such pool, or its founder has left it.
    UnknownPool = "unknown_pool", NotFound;
    /// No such transfer.
    UnknownTransfer = "unknown_transfer", NotFound;
    /// The job has no lines, or none yet.
    JobWithoutLines = "job_without_lines", Conflict;
    /// No such job.
    UnknownJob = "unknown_job", NotFound;
    /// The programme has findings.
    BadProgramme = "bad_programme", Content;
    /// The programme is longer than one may be.
    ProgrammeTooLong = "programme_too_long", TooLarge;
    /// Another version was saved meanwhile.
    Stale = "stale", Precondition;
    /// The record would be larger than 64 KiB.
    TooManyLines = "too_many_lines", TooLarge;
}
