//! Phones and what their users do with them.

use crate::handset::{CallSince, Stage};
use crate::world::{Event, World};
use std::time::Duration;
use switchbook_sip_adapter::phone::{OnCall, Wish};

impl World {
    /// Takes in what a phone has to send and to tell.
    pub fn heard(&mut self, phone: usize) {
        loop {
            let handset = &mut self.phones[phone];
            let Some(ua) = &mut handset.ua else { return };
            let mut out = Vec::new();
            while let Some(sent) = ua.poll_transmit() {
                out.push(sent);
            }
            let events = ua.take_events();
            let quiet = out.is_empty() && events.is_empty();
            let (at, now, jumps) = (handset.at, self.now, self.tally.jumps);
            out.iter().for_each(|(_, bytes)| handset.sends(now, jumps, bytes));
            for (to, bytes) in out {
                self.send(at, to, bytes);
            }
            for event in events {
                let name = self.phones[phone].name;
                self.note(&format!("{name}: {event:?}"));
                let (now, lives) = (self.now, self.lives);
                let handset = &mut self.phones[phone];
                if handset.heard(now, lives, &event) {
                    self.hang_up(phone);
                }
            }
            self.tally.told += u64::from(!quiet);
            if quiet {
                return;
            }
        }
    }

    pub fn plug_in(&mut self, phone: usize) {
        let chance = &mut self.chance.phones;
        let seed = chance.bytes();
        let wants = chance.pick(&[60, 120, 300, 600]);
        let again = chance.chance(40);
        let handset = &mut self.phones[phone];
        if again && self.lives > 1 {
            handset.at.set_port(handset.at.port() + 1);
        }
        handset.wants = wants;
        handset.plug_in(seed);
        let now = self.epoch + self.now;
        handset.ask(now);
        let words = format!("{} is plugged in at {}", handset.name, handset.at);
        self.note(&words);
        self.heard(phone);
    }

    pub fn wishes(&mut self, phone: usize, wish: Wish) {
        let now = self.instant();
        let handset = &mut self.phones[phone];
        let words = format!("{}: {wish:?}", handset.name);
        handset.wish(now, wish);
        self.note(&words);
        self.heard(phone);
    }

    pub fn hang_up(&mut self, phone: usize) {
        if let Some(call) = &mut self.phones[phone].call {
            call.given_up = true;
            self.wishes(phone, Wish::HangUp);
        }
        // A caller's wait for an answer to his CANCEL is over by the transaction's timer.
        if self.phones[phone].ua.as_ref().is_some_and(|ua| !ua.has_call()) {
            self.phones[phone].call = None;
        }
    }

    pub fn somebody_acts(&mut self) {
        if self.calm {
            return;
        }
        let chance = &mut self.chance.phones;
        let phone = chance.below(self.phones.len() as u64) as usize;
        let (act, after) = (chance.below(100), chance.millis(100, 1500));
        let handset = &self.phones[phone];
        let (plugged, free) = (handset.ua.is_some(), handset.call.is_none());
        self.later(after, Event::Phones);
        if !plugged {
            if act < 20 {
                self.plug_in(phone);
            }
            return;
        }
        match act {
            0..38 if free => {
                let numbers = ["100", "101", "200", "300", "400", "999", "100", "200", "300"];
                let codes = [
                    "*44*101*4711",
                    "*44*100*4711",
                    "*44*100*1",
                    "*44",
                    "*78",
                    "*79",
                    "*72*1",
                    "*73",
                ];
                let chance = &mut self.chance.phones;
                let number = match chance.chance(85) {
                    true => chance.pick(&numbers),
                    false => chance.pick(&codes),
                };
                let (since, life) = (self.now, self.lives);
                self.phones[phone].call = Some(CallSince {
                    stage: Stage::Calls,
                    since,
                    life,
                    known: false,
                    given_up: false,
                });
                self.wishes(phone, Wish::Call(number.into()));
            }
            0..38 => self.hang_up(phone),
            38..60 => {
                let chance = &mut self.chance.phones;
                let ring = Duration::from_millis(chance.below(12_000));
                let on_call = match chance.below(10) {
                    0..7 => OnCall::Answer(ring),
                    7 => OnCall::Ring,
                    _ => OnCall::Refuse(chance.pick(&[486, 603, 480, 500])),
                };
                self.phones[phone].on_call = on_call;
                self.wishes(phone, Wish::OnCall(on_call));
            }
            60..66 if !free => self.wishes(phone, Wish::Hold(act % 2 == 0)),
            66..76 => {
                let wants = self.chance.phones.pick(&[60, 60, 120, 300, 600]);
                self.asks_for(phone, wants);
            }
            76..82 => self.asks_for(phone, 0),
            82..88 if free => {
                let handset = &mut self.phones[phone];
                let port = handset.at.port() + 1;
                handset.at.set_port(port);
                let at = handset.at;
                handset.told = None;
                if let Some(ua) = &mut handset.ua {
                    ua.move_to(at);
                }
                let wants = handset.wants.max(60);
                self.asks_for(phone, wants);
            }
            88..94 => {
                self.phones[phone].unplug();
                let words = format!("{} vanishes", self.phones[phone].name);
                self.note(&words);
                let back = self.chance.phones.millis(1000, 60_000);
                self.later(back, Event::PlugIn(phone));
            }
            _ => {}
        }
    }

    pub fn asks_for(&mut self, phone: usize, wants: u32) {
        let now = self.instant();
        let handset = &mut self.phones[phone];
        handset.wants = wants;
        let words = format!("{} wants {wants} s", handset.name);
        if handset.asking {
            return;
        }
        handset.ask(now);
        self.note(&words);
        self.heard(phone);
    }

    /// Users whose call has lost its server give it up some time; and nobody waits for an answer for ever.
    pub fn patience(&mut self) {
        for phone in 0..self.phones.len() {
            let handset = &self.phones[phone];
            let has_call = handset.ua.as_ref().is_some_and(|ua| ua.has_call());
            if !has_call {
                self.phones[phone].call = None;
                continue;
            }
            let Some(call) = handset.call else { continue };
            let orphan = call.life != self.lives || self.life.is_none();
            let long = if orphan { 60 } else { 180 };
            let waits = orphan || call.stage == Stage::Rings;
            if waits && !call.given_up && self.now > call.since + Duration::from_secs(long) {
                self.hang_up(phone);
            }
        }
    }
}
