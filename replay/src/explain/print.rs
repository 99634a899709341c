//! The explanation as lines for a person.

use super::{Explanation, Told, Verdict};
use chrono_tz::Tz;
use switchbook_core::routing::plan::RoutePlan;
use switchbook_core::user::Language;
use switchbook_projections::text;
use switchbook_projections::text::Text;

impl Explanation {
    /// For people.
    #[must_use]
    pub fn lines(&self, language: Language) -> Vec<String> {
        let mut out = Lines { language, lines: Vec::new() };
        self.heading(&mut out);
        self.verdict_lines(&mut out);
        self.plan_lines(&mut out);
        if !self.happened.is_empty() {
            out.push(&text!("What then happened:", "Was dann geschah:"));
        }
        for entry in &self.happened {
            let (position, when) = (entry.position, entry.recorded_at.local(self.zone));
            let (en, de) = (&entry.line.en, &entry.line.de);
            out.push(&text!("  {position} {when}: {en}", "  {position} {when}: {de}"));
        }
        out.lines
    }

    fn heading(&self, out: &mut Lines) {
        let (call, placed, dialled) = (self.call, self.placed, &self.dialled);
        let (on, at) = (self.decided_on, self.at.local(self.zone));
        let Text { en, de } = &self.caller;
        out.push(&text!("Call {call}, placed by {placed}", "Ruf {call}, begonnen mit {placed}"));
        out.push(&text!(
            "{en} called {dialled} at {at}; decided on the book up to {on}",
            "{de} rief {dialled} an, {at}; entschieden nach dem Buch bis {on}"
        ));
        for source in &self.left_out {
            out.push(&text!("Left out of the book:", "Aus dem Buch weggelassen:"));
            for line in source.lines(self.zone, out.language) {
                out.lines.push(format!("  {line}"));
            }
        }
    }

    fn verdict_lines(&self, out: &mut Lines) {
        let without = !self.left_out.is_empty();
        match &self.verdict {
            Verdict::SamePlan if without => out.push(&text!(
                "Without it the same plan comes out: it did not decide this call.",
                "Ohne es kommt derselbe Plan heraus: es hat diesen Ruf nicht entschieden."
            )),
            Verdict::SamePlan => out.push(&text!(
                "The book gives the same plan that was recorded with the call.",
                "Aus dem Buch kommt derselbe Plan, der mit dem Ruf aufgezeichnet wurde."
            )),
            Verdict::FromTheBook => out.push(&text!(
                "Computed from the book alone; the recorded plan was not used.",
                "Allein aus dem Buch berechnet; der aufgezeichnete Plan wurde nicht benutzt."
            )),
            Verdict::AnotherPlan { before, now } => {
                out.push(&if without {
                    text!("Without it another plan comes out:", "Ohne es kommt ein anderer Plan heraus:")
                } else {
                    text!(
                        "The book gives ANOTHER plan than the one recorded with the call:",
                        "Aus dem Buch kommt ein ANDERER Plan als der mit dem Ruf aufgezeichnete:"
                    )
                });
                for (sign, lines) in [("-", before), ("+", now)] {
                    let signed = lines.iter().map(|l| format!("  {sign} {}", l.read(out.language)));
                    out.lines.extend(signed);
                }
            }
            Verdict::NotComputed { why } => {
                out.push(why);
                if self.plan.is_some() {
                    out.push(&text!(
                        "What follows is the plan as it was recorded with the call.",
                        "Es folgt der Plan, wie er mit dem Ruf aufgezeichnet wurde."
                    ));
                }
            }
            Verdict::FeatureCode => out.push(&text!(
                "A feature code was dialled: nobody was called, and there is no route to explain.",
                "Es wurde ein Funktionscode gewählt: niemand wurde angerufen, einen Weg gibt es nicht."
            )),
            Verdict::StoredUnreadable { why } => out.push(&text!(
                "The plan recorded with the call cannot be read ({why}); what follows is from the book.",
                "Der mit dem Ruf aufgezeichnete Plan ist nicht lesbar ({why}); es folgt der aus dem Buch."
            )),
        }
    }

    fn plan_lines(&self, out: &mut Lines) {
        for line in &self.assumed {
            let Text { en, de } = line;
            out.push(&text!("Note: {en}.", "Hinweis: {de}."));
        }
        steps(&self.steps, self.plan.as_ref(), self.zone, out);
    }
}

/// A plan's steps as lines.
pub(super) fn step_lines(
    told: &[Told],
    plan: Option<&RoutePlan>,
    zone: Tz,
    language: Language,
) -> Vec<String> {
    let mut out = Lines { language, lines: Vec::new() };
    steps(told, plan, zone, &mut out);
    out.lines
}

fn steps(told: &[Told], plan: Option<&RoutePlan>, zone: Tz, out: &mut Lines) {
    for told in told {
        let (step, Text { en, de }) = (told.step, &told.does);
        out.push(&text!("{step}. {en}", "{step}. {de}"));
        for why in &told.because {
            let (rule, Text { en, de }) = (&why.rule, &why.says);
            out.push(&text!("   because {en} ({rule})", "   weil: {de} ({rule})"));
            let lines = why.source.as_ref().map(|source| source.lines(zone, out.language));
            out.lines.extend(lines.into_iter().flatten().map(|line| format!("     ← {line}")));
        }
        for branch in &told.then {
            let (to, Text { en, de }) = (branch.step, &branch.when);
            out.push(&text!("   {en}: step {to}", "   {de}: Schritt {to}"));
        }
    }
    for warning in plan.into_iter().flat_map(|plan| &plan.warnings) {
        out.push(&text!("Warning: {warning}", "Warnung: {warning}"));
    }
}

struct Lines {
    language: Language,
    lines: Vec<String>,
}

impl Lines {
    fn push(&mut self, text: &Text) {
        self.lines.push(text.read(self.language).to_owned());
    }
}
