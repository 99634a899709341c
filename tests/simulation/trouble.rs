//! What goes wrong with machine, disk and clock.

use crate::life::{Ground, Life};
use crate::office::Waiting;
use crate::world::{Event, Held, World};
use std::time::Duration;
use switchbook_journal::faults::Cut;

/// How a life of the server ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    Killed,
    PowerCut(Cut),
    Stopped,
}

impl World {
    pub fn fault(&mut self) {
        if self.calm {
            return;
        }
        let after = self.chance.faults.millis(5000, 60_000);
        self.later(after, Event::Fault);
        if self.life.is_none() {
            return;
        }
        let faults = &mut self.chance.faults;
        let cut = faults.pick(&[Cut::Some, Cut::Some, Cut::Nothing, Cut::Everything]);
        let (kind, operations) = (faults.below(20), faults.below(40));
        let (soon, long) = (faults.millis(1, 3000), faults.millis(1000, 15_000));
        let jump = faults.pick(&[3600, -3600, 300, -300, 7, -7, 86_400, 315_360_000]);
        match kind {
            0..4 => self.later(Duration::ZERO, Event::Down(Down::PowerCut(cut))),
            4..7 => self.later(Duration::ZERO, Event::Down(Down::Killed)),
            7..10 => {
                self.note(&format!(
                    "the machine will die after {operations} operations of the disk"
                ));
                self.disk.die_after(operations);
                (self.disk_ill, self.dying) = (Some(self.now), true);
                self.later(soon, Event::Down(Down::PowerCut(cut)));
            }
            10..12 => self.later(Duration::ZERO, Event::Down(Down::Stopped)),
            12..14 => {
                self.note("disk: full");
                self.tally.full += 1;
                self.disk.limit(Some(self.disk.used()));
                self.disk_ill = Some(self.now);
                self.later(long, Event::Room);
            }
            14..17 if self.seed.is_multiple_of(3) => {
                let wrong = self.wall.wrong_by();
                self.jump(if wrong == 0 { jump } else { -wrong });
            }
            _ => {}
        }
    }

    pub fn jump(&mut self, seconds: i64) {
        self.note(&format!("the wall clock jumps by {seconds} s"));
        self.tally.jumps += 1;
        self.wall.jump(seconds);
    }

    pub fn go_down(&mut self, how: Down) -> Held {
        let Some(life) = self.life.take() else { return Ok(()) };
        self.note(&format!("the server goes down: {how:?}"));
        let (mut out, mut clean) = (Vec::new(), false);
        // A machine that is dying does not stop in order.
        if how == Down::Stopped && !self.dying {
            match life.stop(&mut out) {
                Ok(()) => clean = true,
                Err(why) => {
                    self.note(&format!("not everything was written before the stop: {why}"))
                }
            }
            self.tally.stops += 1;
        } else {
            life.end();
            self.tally.crashes += 1;
        }
        self.sent(out);
        let died = std::mem::take(&mut self.dying);
        self.disk = match how {
            Down::PowerCut(cut) => self.disk.cut(cut),
            Down::Killed | Down::Stopped if died => self.disk.cut(Cut::Some),
            Down::Killed | Down::Stopped => self.disk.process_death(),
        };
        self.disk.limit(None);
        self.went_down = self.disk_ill.take().unwrap_or(self.now);
        if clean {
            self.went_down = Duration::MAX;
        }
        self.disk_works = false;
        self.queue.retain(|_, event| !matches!(event, Event::Disk | Event::Room | Event::Down(_)));
        // Nobody was answered; everybody asks again.
        for Waiting { asked, words, password, task } in std::mem::take(&mut self.waiting) {
            task.abort();
            let after = self.chance.office.millis(3000, 20_000);
            self.later(after, Event::Repeat(asked, words, password));
        }
        if !self.calm {
            let after = self.chance.faults.millis(100, 15_000);
            self.later(after, Event::Up);
        }
        Ok(())
    }

    pub fn start(&mut self) -> Held {
        if self.life.is_some() {
            return Ok(());
        }
        let seed = self.chance.faults.bytes();
        if !self.calm && self.lives > 0 && self.chance.faults.chance(15) {
            let operations = self.chance.faults.below(60);
            self.disk.die_after(operations);
            (self.disk_ill, self.dying) = (Some(self.now), true);
            self.note(&format!("a start that will die after {operations} operations of the disk"));
            let after = self.chance.faults.millis(1, 3000);
            self.later(after, Event::Down(Down::PowerCut(Cut::Some)));
        }
        let erasures = self.folder.path().join("erasures");
        let ground = Ground {
            disk: &self.disk,
            erasures: &erasures,
            wall: &self.wall,
            epoch: self.epoch,
            now: self.now,
            seed,
        };
        match Life::begin(&ground) {
            Ok(life) => {
                self.now = self.now.max(life.now());
                self.life = Some(life);
                self.lives += 1;
                self.note("the server is up");
                // On a dying disk the next start shows it.
                if self.dying { Ok(()) } else { self.check_recovered() }
            }
            Err(why) if self.dying => {
                self.note(&format!("the start died: {why}"));
                self.queue.retain(|_, event| !matches!(event, Event::Down(_)));
                self.disk = self.disk.cut(Cut::Some);
                (self.disk_ill, self.dying) = (None, false);
                self.later(Duration::from_secs(1), Event::Up);
                Ok(())
            }
            Err(why) => Err(format!("the server does not start: {why}")),
        }
    }
}
