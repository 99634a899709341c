//! One round of the loop: whose turn it is, and for how long. No socket and no clock, so that a flood can be played to it.
//!
//! Everybody who waits gets a turn in every round, and none takes more than his share of it: a socket that never runs empty
//! keeps neither the answers of the Desk waiting, nor timers, nor an administrator, nor whoever else is on the thread.

/// Datagrams, and answers, that are taken in one round at most.
pub(crate) const SHARE: usize = 128;
/// Wishes of an administrator in one round; few ever wait.
const WISHES: usize = 16;

/// What the loop looks after.
pub(crate) trait Sources {
    /// Carries out a wish that waits.
    fn wish(&mut self) -> Wish;
    /// Takes an answer of the Desk; `false` when none waits.
    fn answer(&mut self) -> bool;
    /// Takes a datagram; `false` when none waits.
    fn datagram(&mut self) -> bool;
    /// Does what is due by now, if anything is.
    fn timers(&mut self);
}

/// What came of looking for a wish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// None waits.
    None,
    /// It was carried out.
    Done,
    /// The loop is to end at once.
    End,
}

/// What a round came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Round {
    /// Datagrams taken.
    pub datagrams: usize,
    /// Somebody has used up his share and may have more: the thread is given away before the next round.
    pub gives_way: bool,
    /// The loop is to end at once.
    pub ends: bool,
}

/// Gives everybody his turn.
pub(crate) fn round(sources: &mut impl Sources) -> Round {
    for _ in 0..WISHES {
        match sources.wish() {
            Wish::Done => {}
            Wish::None => break,
            Wish::End => return Round { datagrams: 0, gives_way: false, ends: true },
        }
    }
    let answers = (0..SHARE).take_while(|_| sources.answer()).count();
    let datagrams = (0..SHARE).take_while(|_| sources.datagram()).count();
    sources.timers();
    let gives_way = answers == SHARE || datagrams == SHARE;
    Round { datagrams, gives_way, ends: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who waits how long, and what was done; `usize::MAX` never runs empty.
    #[derive(Default)]
    struct Waiting {
        wishes: usize,
        ends: bool,
        answers: usize,
        datagrams: usize,
        told: Vec<&'static str>,
    }

    fn take(from: &mut usize) -> bool {
        let some = *from > 0;
        if *from != usize::MAX {
            *from = from.saturating_sub(1);
        }
        some
    }

    impl Sources for Waiting {
        fn wish(&mut self) -> Wish {
            match take(&mut self.wishes) {
                true if self.ends => Wish::End,
                true => {
                    self.told.push("wish");
                    Wish::Done
                }
                false => Wish::None,
            }
        }

        fn answer(&mut self) -> bool {
            let some = take(&mut self.answers);
            self.told.extend(some.then_some("answer"));
            some
        }

        fn datagram(&mut self) -> bool {
            let some = take(&mut self.datagrams);
            self.told.extend(some.then_some("datagram"));
            some
        }

        fn timers(&mut self) {
            self.told.push("timers");
        }
    }

    fn count(waiting: &Waiting, what: &str) -> usize {
        waiting.told.iter().filter(|told| **told == what).count()
    }

    /// A flood of datagrams once left the Desk, on the same thread, no turn: nobody could register.
    #[test]
    fn a_socket_that_never_runs_empty_leaves_everybody_a_turn_in_every_round() {
        let mut flood = Waiting { datagrams: usize::MAX, ..Waiting::default() };
        for many in 1..=100 {
            (flood.answers, flood.wishes) = (3, 1);
            let done = round(&mut flood);
            assert_eq!(done, Round { datagrams: SHARE, gives_way: true, ends: false });
            let told = ["wish", "answer", "datagram", "timers"].map(|what| count(&flood, what));
            assert_eq!(told, [many, 3 * many, SHARE * many, many]);
        }
    }

    #[test]
    fn answers_without_end_leave_the_socket_and_the_timers_theirs() {
        let mut flood = Waiting { answers: usize::MAX, datagrams: 5, ..Waiting::default() };
        let done = round(&mut flood);
        assert_eq!(done, Round { datagrams: 5, gives_way: true, ends: false });
        assert_eq!([count(&flood, "answer"), count(&flood, "timers")], [SHARE, 1]);
    }

    #[test]
    fn a_stop_is_heard_at_once_whatever_else_waits() {
        let full = usize::MAX;
        let mut flood =
            Waiting { wishes: 1, ends: true, answers: full, datagrams: full, ..Waiting::default() };
        assert!(round(&mut flood).ends);
        assert_eq!(flood.told, [] as [&str; 0]);
        let mut wishes = Waiting { wishes: full, datagrams: 1, ..Waiting::default() };
        assert_eq!(round(&mut wishes).datagrams, 1, "nor do wishes keep anybody waiting");
    }

    #[test]
    fn a_quiet_round_keeps_the_thread() {
        let mut quiet = Waiting { datagrams: SHARE - 1, answers: 2, ..Waiting::default() };
        assert!(!round(&mut quiet).gives_way);
        assert!(!round(&mut quiet).gives_way);
        assert_eq!(count(&quiet, "timers"), 2);
    }
}
