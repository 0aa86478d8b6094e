//! Planted bugs: each loom model, and each scenario of shuttle, has a twin that must fail on one
//! of these.
//!
//! Outside of models the question is a constant `false`, and the sites compile to nothing.

/// A bug that a model can plant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(dead_code, reason = "each is named by one model only")]
pub enum Bug {
    /// A reclaimer looks at the bytes first and moves the state afterwards (F6).
    ReclaimerChecksThenActs,
    /// A claim looks at the state word and writes it without comparing.
    BlockClaimChecksThenSets,
    /// A reclaimer condemns a block although the deferral of an earlier condemnation is outstanding.
    DeferralBegunTwice,
    /// A raw release compares the tag first and gives the port back afterwards.
    RawReleaseChecksThenActs,
    /// A raw release does not look at the generation again after it saw that the port is held.
    RawReleaseTrustsTheFirstLook,
    /// The clock raises the time before the slice.
    TimeBeforeSlice,
    /// A queue consumer takes an entry without claiming its cell.
    QueueTakesWithoutClaiming,
    /// A queue producer writes its cell without winning it.
    QueuePushesWithoutClaiming,
    /// Whoever ends a grace period looks first whether the shard is there, and tells it afterwards.
    RipensAfterTheLook,
    /// A shard that comes back says so by writing the word whole, whatever ripened meanwhile.
    ComesOverWhatIsRipe,
    /// A search takes it that nothing was counted for nothing having become leasable, and does not
    /// watch.
    SearchesUnwatched,
    /// A claim at a page that is gone is taken for one that somebody else won.
    GoneTakenForLost,
    /// A page is left to its leases by whoever has looked before whether there are any.
    AbandonsAfterTheLook,
    /// Whoever finds a page without leases frees it, whether or not he is the one to.
    LastLeaseUnwon,
    /// Whoever queues a block looks first whether it stands in the queue, and says so afterwards.
    EnqueueChecksThenSets,
    /// A block taken from the queue is said to stand there until after it was looked at.
    UnqueuesAfterTheAttempt,
    /// A page goes although a block was claimed since it was marked.
    ClosesOverAClaim,
    /// Whoever takes a page down decides by any mark that stands, also by that of another attempt.
    DecidesByAnyMark,
    /// Recycling does not wait for the grace period.
    RecycleWithoutGrace,
    /// A charge looks at the limit and adds without comparing.
    ChargeChecksThenAdds,
    /// An account is retired although something was charged since it was seen at rest.
    RetireTrustsTheFirstLook,
    /// What a slot of releases said is forgotten before it is counted as rested.
    SlotClearedBeforeRaised,
    /// What has rested is set from what it was at first, whatever somebody else has made of it.
    SlotRaiseTrustsTheFirstLook,
    /// Whoever settles reads the time before the slot.
    SettleReadsTheTimeFirst,
    /// A release writes over a slot of an earlier round.
    ReleaseOverwritesASlot,
    /// A release waits for a slot of an active part that is the account's no longer.
    ReleaseWaitsForARetiredPart,
    /// A retirement takes the active part although a port block is held.
    RetireForgetsBlocks,
    /// Those who complete a retirement judge for themselves whether a port block is held.
    RetirersDisagree,
    /// A second pairing is ended before the first was told of.
    EndingForgotten,
    /// An active part is lent again while somebody may be looking at it.
    ReuseWithoutGrace,
    /// A port of an assigned block is taken without winning its stamp.
    TakeWithoutStamp,
    /// A port of an assigned block is taken without a look whether it is held.
    TakeOfAHeldPort,
    /// Who takes a port of an assigned block reads the time before the port's byte.
    TakeReadsTheTimeFirst,
    /// A port that was taken is kept without another look at whose the port block is.
    TakeTrustsTheFirstLook,
    /// A port block is given back without another look after the mark.
    GiveWithoutRecheck,
    /// A port block is given back although the account does not remember it.
    GiveWhatIsNotRemembered,
    /// A giving back that finds a port taken leaves its mark.
    GiveLeavesItsMark,
    /// A giving back goes on although it lost a compare-and-swap.
    GiveUnwon,
    /// A port block is claimed without seeing to it that its block stays assigned.
    ClaimWithoutKeeping,
    /// A claim looks at an owner word and writes it without comparing.
    ClaimChecksThenSets,
    /// A claim that loses a quarter makes all of them nobody's, also what is somebody else's.
    ClaimUndoesTheWhole,
    /// A claim that loses a quarter keeps those it had won.
    ClaimLeavesItsFirst,
    /// A reclaimer looks at the owner words first and condemns the block afterwards.
    CondemnLooksAtOwnersFirst,
    /// A summary is cleared without looking at the words below again.
    ClearWithoutRecheck,
    /// A class decides by its first look whether a block is its own, and counts it whatever
    /// happened since.
    QuotaTrustsTheFirstLook,
    /// A borrowed block is lent again before it is counted as given back.
    QuotaLendsBeforeItCounts,
    /// A minimum rises before the pot has been lowered by it.
    QuotaGuaranteesAheadOfThePot,
    /// A block that is held already is counted against a pot that may not fall below zero.
    QuotaForcesWithinThePot,
    /// What is over takes away a tenancy without looking of which generation it is.
    TenancyWithoutGeneration,
    /// A block is counted anew without another look at it afterwards.
    RebookTrustsTheFirstLook,
    /// A block is counted anew without comparing what it was counted as.
    RebookChecksThenSets,
    /// A visitor who sees nothing that rests marks the block under the slice he sees.
    VisitMarksUnderNow,
    /// Whoever judges a block reads the time before the ports' bytes.
    JudgeReadsTheTimeFirst,
    /// A visitor takes his mark away without another look whether it is somebody else's by now.
    VisitTrustsItsMark,
    /// The time a block was in hand counts from after it was marked.
    TakenAfterItsMark,
    /// A release that rests not tells an owner who may have let go.
    NudgeTrustsTheFirstLook,
    /// A block is let go of without a look, as if it had been taken whole and leased to the last port.
    SpentTakenForWhole,
    /// A step of the state word that loses its compare-and-swap is not tried again.
    TransitionTriesOnce,
    /// A region is told what an address has before the address is a member of it.
    SeatsBeforeItEnlists,
    /// Stamps are forgotten while an owner takes ports by them.
    RefreshWhileJudged,
    /// A reclaimer is at the bytes of a block while an owner takes ports by them.
    CondemnWhileJudged,
    /// A reclaimer that does not condemn the block stays at its bytes.
    CondemnKeepsJudging,
    /// A block that was reheated before its deferral ended is left without a mark.
    RecycleForgetsTheReheated,
}

#[cfg(not(any(loom, shuttle)))]
#[inline(always)]
pub(crate) const fn on(_: Bug) -> bool {
    false
}

#[cfg(any(loom, shuttle))]
mod model {
    use super::Bug;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static PLANTED: AtomicUsize = AtomicUsize::new(0);

    /// Plants one bug for the models of this process, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as usize + 1), Ordering::SeqCst);
    }

    pub(crate) fn on(bug: Bug) -> bool {
        PLANTED.load(Ordering::SeqCst) == bug as usize + 1
    }
}

#[cfg(any(loom, shuttle))]
pub(crate) use model::on;
#[cfg(any(loom, shuttle))]
pub use model::plant;
