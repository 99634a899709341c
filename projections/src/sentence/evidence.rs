//! Seals and erasures in words.

use super::bare;
use crate::names::Naming;
use crate::text;
use crate::text::Text;
use switchbook_core::event::Event;
use switchbook_core::position::Position;

pub(super) fn line(event: &Event, names: &dyn Naming) -> Text {
    match event {
        Event::BookSealed(e) => {
            let (last, root) = (Position(e.size), e.root.to_string());
            let root = root.get(..16).unwrap_or(&root);
            text!(
                "the book was sealed up to {last} (root {root}…)",
                "das Buch wurde bis {last} versiegelt (Wurzel {root}…)"
            )
        }
        Event::SealingKeyMade(e) => {
            let key = &e.verifier;
            text!(
                "a key for seals was made; its public half is {key}",
                "ein Schlüssel für Siegel wurde erzeugt; sein öffentlicher Teil ist {key}"
            )
        }
        Event::RetentionSet(e) => match e.months {
            Some(months) => text!(
                "numbers of outside parties stay readable for {months} months",
                "Rufnummern Außenstehender bleiben {months} Monate lesbar"
            ),
            None => text!(
                "numbers of outside parties stay readable for ever",
                "Rufnummern Außenstehender bleiben für immer lesbar"
            ),
        },
        Event::PeriodErased(e) => {
            let period = e.period;
            text!(
                "numbers of outside parties and addresses of phones from {period} were erased",
                "Rufnummern Außenstehender und Adressen von Telefonen aus {period} wurden gelöscht"
            )
        }
        Event::PersonErased(e) => {
            let (id, name) = (e.user, names.user(e.user));
            text!(
                "the person {name} was erased (id {id})",
                "die Person {name} wurde gelöscht (Kennung {id})"
            )
        }
        other => bare(other),
    }
}
