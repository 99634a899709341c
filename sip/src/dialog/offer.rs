//! Who has made an offer that is still open (RFC 3264, RFC 3261 §14, RFC 6337).

use std::time::Duration;

/// Why an INVITE or UPDATE cannot go on now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glare {
    /// Ours is under way: answer 491 (§14.2)
    RequestPending,
    /// An earlier one of theirs is not answered yet: 500 with Retry-After of 0 to 10 s (§14.2)
    Overlapping,
}

impl Glare {
    /// Status and reason phrase.
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Glare::RequestPending => (491, "Request Pending"),
            Glare::Overlapping => (500, "Server Internal Error"),
        }
    }
}

/// The open offer of a dialog, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OfferAnswer {
    /// None is open
    #[default]
    Stable,
    /// We sent a re-INVITE or an UPDATE with an offer
    Ours,
    /// They sent one
    Theirs,
}

impl OfferAnswer {
    /// We want to send an offer; `false`: not now.
    pub fn begin_ours(&mut self) -> bool {
        let free = *self == OfferAnswer::Stable;
        if free {
            *self = OfferAnswer::Ours;
        }
        free
    }

    /// An offer of theirs came.
    pub fn begin_theirs(&mut self) -> Result<(), Glare> {
        match self {
            OfferAnswer::Ours => Err(Glare::RequestPending),
            OfferAnswer::Theirs => Err(Glare::Overlapping),
            OfferAnswer::Stable => {
                *self = OfferAnswer::Theirs;
                Ok(())
            }
        }
    }

    /// The final answer to the open one was sent or received.
    pub fn settle(&mut self) {
        *self = OfferAnswer::Stable;
    }
}

/// How long to wait after a 491 before trying again (§14.1): 2.1 to 4 s for the one that made the Call-ID, 0 to 2 s
/// for the other, in steps of 10 ms. `random` is any random number.
pub fn glare_wait(we_made_the_call_id: CallIdOwner, random: u64) -> Duration {
    let step = match we_made_the_call_id {
        CallIdOwner::Us => 210 + random % 191,
        CallIdOwner::Them => random % 201,
    };
    Duration::from_millis(step * 10)
}

/// Which side made the Call-ID, that is, sent the first INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallIdOwner {
    /// We are the caller
    Us,
    /// They are
    Them,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glare_is_491_and_overlap_is_500() {
        let mut s = OfferAnswer::default();
        assert!(s.begin_ours() && !s.begin_ours());
        assert_eq!(s.begin_theirs(), Err(Glare::RequestPending));
        s.settle();
        assert_eq!(s.begin_theirs(), Ok(()));
        assert_eq!(s.begin_theirs().map_err(Glare::status), Err((500, "Server Internal Error")));
        assert!(!s.begin_ours());
    }

    #[test]
    fn the_two_sides_wait_in_ranges_that_do_not_meet() {
        for random in 0..1000 {
            let (us, them) =
                (glare_wait(CallIdOwner::Us, random), glare_wait(CallIdOwner::Them, random));
            assert!((2100..=4000).contains(&us.as_millis()) && them.as_millis() <= 2000);
        }
    }
}
