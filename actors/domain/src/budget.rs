//! A campaign's budget, as one entity keeps it (INV-8): it lends slices to nodes, which spend them by themselves, and knows from the feed
//! what sales have taken. It never lends more than the budget, so no node's loss or delay can overspend it; what a node that is gone had
//! left of its slices is found again as what was lent and never taken.

use std::collections::BTreeMap;

/// The state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Budget {
    pub seq: u64,
    /// Lent to nodes and not returned.
    pub lent: i64,
    /// Taken by sales, as far as the feed was read.
    pub charged: i64,
    /// Shard → offset up to which that is counted.
    pub read: BTreeMap<u16, u64>,
}

/// What it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// A node asks for points; the campaign has so many in all.
    Lend { budget: i64, wanted: i64 },
    /// A node gives back what it has not spent, or a node that is gone never will.
    Return { points: i64 },
    /// What sales took: shard, offset, points; and up to where each shard was read.
    Seen { sales: Vec<(u16, u64, i64)>, read: Vec<(u16, u64)> },
}

/// What it records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BudgetRecord {
    Lent { points: i64 },
    Returned { points: i64 },
    Charged { points: i64, read: Vec<(u16, u64)> },
}

impl Budget {
    /// What nodes that are gone had borrowed and never gave to a sale, once all their sales are counted: what is lent less what the
    /// node that asks has `borrowed`, and what was taken.
    #[must_use]
    pub fn lost(&self, borrowed: i64) -> i64 {
        self.lent - borrowed - self.charged
    }

    /// What is new; `None`: nothing, or nothing is left to lend.
    #[must_use]
    pub fn decide(&self, told: &Told) -> Option<BudgetRecord> {
        match told {
            Told::Lend { budget, wanted } => Some((*wanted).min(budget - self.lent)).filter(|points| *points > 0).map(|points| BudgetRecord::Lent { points }),
            Told::Return { points } => Some((*points).min(self.lent)).filter(|points| *points > 0).map(|points| BudgetRecord::Returned { points }),
            Told::Seen { sales, read } => {
                // A stretch that is told again was counted.
                let new = |(shard, offset, _): &&(u16, u64, i64)| self.read.get(shard).is_none_or(|read| offset >= read);
                let points = sales.iter().filter(new).map(|(_, _, points)| points).sum();
                (points > 0).then(|| BudgetRecord::Charged { points, read: read.clone() })
            }
        }
    }

    /// Folds a record in.
    pub fn apply(&mut self, record: &BudgetRecord) {
        self.seq += 1;
        match record {
            BudgetRecord::Lent { points } => self.lent += points,
            BudgetRecord::Returned { points } => self.lent -= points,
            BudgetRecord::Charged { points, read } => {
                self.charged += points;
                self.read.extend(read.iter().copied());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv_08_no_more_is_lent_than_the_budget_and_each_sale_is_counted_once() {
        let mut budget = Budget::default();
        let mut tell = |told: Told| {
            let record = budget.decide(&told);
            record.iter().for_each(|record| budget.apply(record));
            (record.is_some(), budget.lent, budget.charged)
        };
        assert_eq!(tell(Told::Lend { budget: 100, wanted: 60 }), (true, 60, 0));
        assert_eq!(tell(Told::Lend { budget: 100, wanted: 60 }), (true, 100, 0));
        assert_eq!(tell(Told::Lend { budget: 100, wanted: 1 }), (false, 100, 0));
        let seen = |to, points| Told::Seen { sales: vec![(0, 4, 10), (1, 7, 20), (0, to - 1, points)], read: vec![(0, to), (1, 8)] };
        assert_eq!(tell(seen(9, 5)), (true, 100, 35));
        assert_eq!(tell(seen(9, 5)), (false, 100, 35));
        assert_eq!(tell(seen(12, 6)), (true, 100, 41));
        // A node that is gone: 59 of what was lent were never taken.
        assert_eq!(tell(Told::Return { points: 59 }), (true, 41, 41));
        assert_eq!(tell(Told::Lend { budget: 100, wanted: 80 }), (true, 100, 41));
        // The budget was lowered below what is out: nothing more is lent.
        assert_eq!(tell(Told::Lend { budget: 50, wanted: 1 }), (false, 100, 41));
        assert_eq!(tell(Told::Return { points: 1_000 }), (true, 0, 41));
    }
}
