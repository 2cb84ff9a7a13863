//! What may be forgotten: lives that are over, dead counter entries, expired keys (DESIGN.md section
//! 2, rules 9 to 11).

use super::History;
use crate::origin::{Dot, Origin, OriginIndex};
use crate::rules::{Rule, off};
use crate::stamp::Stamp;
use crate::vv::VersionVector;

impl History {
    /// Whether a life is over for this instance: closed, and the settled context of every member
    /// covers the record that closed it. Nothing of it can come any more (rule 10).
    pub fn over(&self, life: &Origin, members: &[u32]) -> bool {
        let Some(by) = self.ends.get(life) else {
            return false;
        };
        if off(Rule::ClosedLives) {
            return true;
        }
        let covers = |settled: &Option<VersionVector>| {
            settled.as_ref().is_some_and(|context| context.covers(*by))
        };
        members.iter().all(|member| {
            self.origins.iter().any(|(index, origin)| {
                origin.server_id == *member
                    && (index == by.origin
                        || self
                            .last
                            .get(index.at())
                            .is_some_and(|last| covers(&last.settled)))
            })
        })
    }

    /// Whether a dead contribution of this origin, last removed by this record, may go: its origin
    /// has seen the removal, or its life is over (rule 9). Never while there are holes.
    pub fn may_drop(
        &self,
        origin: OriginIndex,
        remover: Dot,
        own: Option<OriginIndex>,
        members: &[u32],
    ) -> bool {
        if self.vv.has_holes() {
            return false;
        }
        off(Rule::Owner)
            || own == Some(origin)
            || self
                .last_context(origin)
                .is_some_and(|context| context.covers(remover))
            || self
                .origins
                .origin(origin)
                .is_some_and(|life| self.over(&life, members))
    }

    /// Whether the newest life of a group has passed this end, and knew these deadlines when it did
    /// (rule 11). True for the own group.
    pub fn heard(
        &self,
        group: u32,
        own_group: u32,
        end: Stamp,
        ttls: impl IntoIterator<Item = Dot>,
    ) -> bool {
        if off(Rule::Heard) || group == own_group {
            return true;
        }
        let newest = self
            .origins
            .iter()
            .filter(|(index, origin)| {
                origin.server_id == group && self.last_context(*index).is_some()
            })
            .max_by_key(|(index, origin)| (origin.epoch, self.last[index.at()].stamp, *origin));
        let Some((index, _)) = newest else {
            return false;
        };
        let Some(context) = self.last_context(index) else {
            return false;
        };
        self.last[index.at()].stamp > end
            && ttls
                .into_iter()
                .all(|dot| dot.origin == index || context.covers(dot))
    }
}
