//! Server transactions: timers G, H, I, J, L, the 100, CANCEL and ACK.

use super::sim::*;

#[test]
fn the_100_waits_for_the_first_timeout_and_is_repeated_for_repeated_invites() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    assert_eq!(sim.run(S(0)), [(0, ">100".into())]);
    assert_eq!(sim.receive(text("INVITE", B)), [">100"]);
    assert_eq!(sim.answer(key, &invite, 180).unwrap(), [">180"]);
    assert_eq!(sim.receive(text("INVITE", B)), [">180"]);
    let mut quick = Sim::new(Transport::Udp);
    let (key, invite) = quick.incoming(&text("INVITE", B));
    quick.answer(key, &invite, 180).unwrap();
    assert_eq!(quick.run(S(1)), []);
}

#[test]
fn timers_g_and_h_repeat_a_failure_until_no_ack_is_expected() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    sim.answer(key, &invite, 486).unwrap();
    let at = sim.run(S(60));
    let sent: Vec<_> = at.iter().filter(|(_, t)| t == ">486").map(|(ms, _)| *ms).collect();
    assert_eq!(sent, [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]);
    assert_eq!(at[at.len() - 2..], [(32000, "timeout".into()), (32000, "terminated".into())]);
    assert_eq!(sim.answer(key, &invite, 486), Err(RespondError::Gone));
}

#[test]
fn timer_i_absorbs_further_acks() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    sim.answer(key, &invite, 486).unwrap();
    assert_eq!(sim.receive(ack(B, "tt")), Told::new());
    assert_eq!(sim.receive(ack(B, "tt")), Told::new());
    assert_eq!(sim.receive(text("INVITE", B)), Told::new());
    assert_eq!(sim.run(S(60)), [(5000, "terminated".into())]);
}

#[test]
fn timer_j_repeats_the_answer_to_repeated_requests() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, register) = sim.incoming(&text("REGISTER", B));
    assert_eq!(sim.receive(text("REGISTER", B)), Told::new());
    assert_eq!(sim.answer(key, &register, 200).unwrap(), [">200"]);
    assert_eq!(sim.receive(text("REGISTER", B)), [">200"]);
    assert_eq!(sim.answer(key, &register, 500), Err(RespondError::NotAllowed));
    assert_eq!(sim.run(S(60)), [(32000, "terminated".into())]);
    let mut sim = Sim::new(Transport::Tls);
    let (key, register) = sim.incoming(&text("REGISTER", B));
    assert_eq!(sim.answer(key, &register, 200).unwrap(), [">200", "terminated"]);
}

#[test]
fn timer_l_absorbs_the_invite_after_its_2xx() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    assert_eq!(sim.answer(key, &invite, 200).unwrap(), [">200"]);
    assert_eq!(sim.receive(text("INVITE", B)), Told::new());
    // The TU repeats it; the ACK has a branch of its own and goes to the TU.
    assert_eq!(sim.answer(key, &invite, 200).unwrap(), [">200"]);
    assert_eq!(sim.receive(ack("z9hG4bK-ack", "tt")), ["ack2xx"]);
    assert_eq!(sim.answer(key, &invite, 486), Err(RespondError::NotAllowed));
    assert_eq!(sim.run(S(60)), [(32000, "terminated".into())]);
}

#[test]
fn a_non_invite_gets_no_180_and_no_408_and_is_dropped_when_too_late() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, options) = sim.incoming(&text("OPTIONS", B));
    assert_eq!(sim.answer(key, &options, 180), Err(RespondError::NotAllowed));
    assert_eq!(sim.answer(key, &options, 408).unwrap(), ["terminated"]);
    sim.incoming(&text("OPTIONS", "z9hG4bK-2").replace("CSeq: 1", "CSeq: 2"));
    assert_eq!(sim.run(S(60)), [(32000, "timeout".into()), (32000, "terminated".into())]);
}

#[test]
fn a_cancel_is_answered_and_told_once() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    sim.run(S(1));
    assert_eq!(sim.receive(text("CANCEL", B)), [">200*", "cancel"]);
    assert_eq!(sim.receive(text("CANCEL", B)), [">200*"]);
    assert_eq!(sim.answer(key, &invite, 487).unwrap(), [">487"]);
    assert_eq!(sim.receive(ack(B, "tt")), Told::new());
}

#[test]
fn cancel_after_answer_keeps_the_call() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    sim.answer(key, &invite, 200).unwrap();
    assert_eq!(sim.receive(text("CANCEL", B)), [">200*"]);
    assert_eq!(sim.receive(text("CANCEL", "z9hG4bK-other")), [">481*"]);
}

#[test]
fn a_stateless_challenge_keeps_nothing_and_its_ack_is_absorbed() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.incoming(&text("INVITE", B));
    let tag = sim.table.stateless_tag(&invite);
    let bytes = Builder::reply(&mut sim.buf, &invite, 407, "x", Some(&tag), sim.flow.remote)
        .finish()
        .unwrap();
    sim.table.respond_stateless(key, bytes).unwrap();
    assert_eq!(sim.told(), [">407*"]);
    assert!(sim.table.is_empty());
    assert_eq!(sim.run(S(60)), []);
    assert_eq!(sim.receive(ack(B, &tag)), Told::new());
    assert_eq!(sim.receive(ack(B, "other")), ["ack2xx"]);
}

#[test]
fn one_request_by_two_ways_is_a_loop() {
    let mut sim = Sim::new(Transport::Udp);
    sim.incoming(&text("INVITE", B));
    assert_eq!(sim.receive(text("INVITE", "z9hG4bK-2")), [">482*"]);
}

#[test]
fn a_peer_of_rfc_2543_is_matched_without_branch() {
    let mut sim = Sim::new(Transport::Udp);
    let old = |m: &str| text(m, B).replace(";branch=z9hG4bK-1", "").replace(";tag=ft", "");
    let (key, invite) = sim.incoming(&old("INVITE"));
    sim.run(S(0));
    assert_eq!(sim.receive(old("INVITE")), [">100"]);
    assert_eq!(sim.receive(old("CANCEL")), [">200*", "cancel"]);
    sim.answer(key, &invite, 487).unwrap();
    assert_eq!(
        sim.receive(old("ACK").replace("To: <sip:b@192.0.2.1>", "To: <sip:b@192.0.2.1>;tag=tt")),
        Told::new()
    );
    assert_eq!(sim.run(S(5)), [(5000, "terminated".into())]);
}
