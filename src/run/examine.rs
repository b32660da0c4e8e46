//! What keys of a cache and entries of a stream have in common on their way from a suspect to a written
//! finding: they are looked at, several looks are decided over, what is confirmed is mended and looked at again.

use std::hash::Hash;

use super::RunError;
use super::ground::Ground;
use super::mend::Mended;
use super::settle::Settled;
use super::sink::Sink;
use crate::model::finding::{Remedy, Suspect};
use crate::model::identity::SourceIdentity;
use crate::model::observation::Position;
use crate::model::time::Micros;
use crate::repair::{Applier, StepOutcome};
use crate::rules::Decision;
use crate::scan::ScanError;

/// Something that is looked at, at its place in the sweep.
pub(super) trait Placed: Clone + Send + Sync + 'static {
    /// Tells it from the others of its check.
    type Name: Eq + Hash + Send;

    fn position(&self) -> Position;
    fn name(&self) -> Self::Name;

    /// What a look at it weighs besides a kilobyte or two, as far as it is known.
    fn weight(&self) -> usize {
        0
    }
}

/// One kind of subject of one check.
pub(super) trait Examined: Sized + Send + Sync + 'static {
    type Target: Placed;
    type Look: Clone + Send + Sync + 'static;
    /// What is called restless where it never came to rest: on MySQL's side, and on Redis's.
    const RESTLESS: (&'static str, &'static str);

    /// The check's name.
    fn check_name(&self) -> &str;
    fn ground(&self) -> &Ground;

    /// One look at every target, in their order.
    fn look(
        &self,
        targets: &[&Self::Target],
    ) -> impl Future<Output = Result<Vec<Self::Look>, ScanError>> + Send;
    fn decide(&self, looks: &[Self::Look]) -> Decision;
    /// What the rules say to this look by itself.
    fn objections(&self, look: &Self::Look) -> Vec<Suspect>;
    /// Whether nobody touched the subject during the look.
    fn counts(&self, look: &Self::Look) -> bool;
    fn source(look: &Self::Look) -> &SourceIdentity;
    /// When the look was complete, by this host's clock.
    fn at(look: &Self::Look) -> Micros;
    /// Whether a look that counts shows nothing any more of what `settled` was confirmed for.
    fn is_right(&self, settled: &Settled<Self>, look: &Self::Look) -> bool;

    /// What would be done about what was confirmed by `look`, or why nothing would.
    fn plan(&self, settled: &Settled<Self>, look: &Self::Look) -> Result<Remedy, String>;
    /// Does it; one outcome for each item. All items are confirmed and have a look.
    fn apply(
        &self,
        applier: &mut Applier,
        items: &[Settled<Self>],
    ) -> impl Future<Output = Vec<StepOutcome>> + Send;
    /// Writes down what became of it.
    fn write(
        &self,
        sink: &mut Sink,
        settled: &Settled<Self>,
        mended: &Mended,
    ) -> Result<(), RunError>;
}
