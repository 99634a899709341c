//! Client transactions: timers A, B, D, E, F, K, M and CANCEL.

use super::sim::*;

#[test]
fn timers_a_and_b_retransmit_an_invite_and_give_up() {
    let mut sim = Sim::new(Transport::Udp);
    sim.send(Method::Invite);
    let at: Vec<_> = sim.run(S(60));
    let sent: Vec<_> = at.iter().filter(|(_, t)| t == ">INVITE").map(|(ms, _)| *ms).collect();
    assert_eq!(sent, [500, 1500, 3500, 7500, 15500, 31500]);
    assert_eq!(at[at.len() - 2..], [(32000, "timeout".into()), (32000, "terminated".into())]);
    assert!(sim.table.is_empty() && sim.table.poll_timeout().is_none());
}

#[test]
fn timers_e_and_f_retransmit_a_request_up_to_t2_and_give_up() {
    let mut sim = Sim::new(Transport::Udp);
    sim.send(Method::Options);
    let at = sim.run(S(60));
    let sent: Vec<_> = at.iter().filter(|(_, t)| t == ">OPTIONS").map(|(ms, _)| *ms).collect();
    assert_eq!(sent, [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]);
    assert_eq!(at[at.len() - 2..], [(32000, "timeout".into()), (32000, "terminated".into())]);
}

#[test]
fn a_reliable_transport_retransmits_nothing_but_times_out() {
    let mut sim = Sim::new(Transport::Tcp);
    sim.send(Method::Invite);
    assert_eq!(sim.run(S(60)), [(32000, "timeout".into()), (32000, "terminated".into())]);
}

#[test]
fn a_provisional_response_stops_timer_b_and_slows_timer_e() {
    let mut sim = Sim::new(Transport::Udp);
    let (_, invite) = sim.send(Method::Invite);
    assert_eq!(sim.reply(&invite, 180).0, ["response 180"]);
    assert_eq!(sim.run(S(600)), []);
    let mut sim = Sim::new(Transport::Udp);
    let (_, options) = sim.send(Method::Options);
    sim.reply(&options, 100);
    assert_eq!(sim.run(S(9)), [(4000, ">OPTIONS".into()), (8000, ">OPTIONS".into())]);
}

#[test]
fn timer_d_repeats_the_ack_to_a_failure_and_tells_it_once() {
    let mut sim = Sim::new(Transport::Udp);
    let (_, invite) = sim.send(Method::Invite);
    let (told, outputs) = sim.reply(&invite, 486);
    assert_eq!(told, [">ACK", "response 486"]);
    let Output::Transmit { bytes, .. } = &outputs[0] else { panic!() };
    let ack = request(bytes.clone());
    assert_eq!(ack.top_via().unwrap().branch(), invite.top_via().unwrap().branch());
    assert_eq!((ack.to().unwrap().tag(), ack.cseq().unwrap().seq), (Some("theirs"), 7));
    assert_eq!(ack.routes().count(), 1);
    assert_eq!(sim.reply(&invite, 486).0, [">ACK"]);
    assert_eq!(sim.reply(&invite, 200).0, Told::new());
    assert_eq!(sim.run(S(60)), [(32000, "terminated".into())]);
}

#[test]
fn timer_m_passes_every_2xx_and_then_ends() {
    let mut sim = Sim::new(Transport::Udp);
    let (_, invite) = sim.send(Method::Invite);
    assert_eq!(sim.reply(&invite, 200).0, ["response 200"]);
    assert_eq!(sim.reply(&invite, 200).0, ["response 200"]);
    assert_eq!(sim.reply(&invite, 486).0, Told::new());
    assert_eq!(sim.run(S(60)), [(32000, "terminated".into())]);
}

#[test]
fn timer_k_absorbs_repeated_answers() {
    let mut sim = Sim::new(Transport::Udp);
    let (_, options) = sim.send(Method::Options);
    assert_eq!(sim.reply(&options, 200).0, ["response 200"]);
    assert_eq!(sim.reply(&options, 200).0, Told::new());
    assert_eq!(sim.run(S(60)), [(5000, "terminated".into())]);
}

#[test]
fn our_cancel_waits_for_a_provisional_response() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.send(Method::Invite);
    sim.table
        .cancel(sim.now, key, Some("SIP;cause=200;text=\"Call completed elsewhere\""))
        .unwrap();
    assert_eq!(sim.told(), Told::new());
    let (told, outputs) = sim.reply(&invite, 180);
    assert_eq!(told, ["response 180", ">CANCEL"]);
    let Output::Transmit { bytes, .. } = &outputs[1] else { panic!() };
    let cancel = request(bytes.clone());
    assert_eq!(cancel.reasons().next(), Some(("SIP", Some(200))));
    assert_eq!((cancel.cseq().unwrap().seq, cancel.vias().count()), (7, 1));
    assert_eq!(cancel.top_via().unwrap().branch(), invite.top_via().unwrap().branch());
    // The TU hears nothing of the answer to it, and all ends with the 487.
    assert_eq!(sim.reply(&cancel, 200).0, Told::new());
    assert_eq!(sim.reply(&invite, 487).0, [">ACK", "response 487"]);
    sim.run(S(60));
    assert!(sim.table.is_empty());
}

#[test]
fn a_cancelled_invite_that_is_never_answered_times_out() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.send(Method::Invite);
    sim.reply(&invite, 180);
    sim.table.cancel(sim.now, key, None).unwrap();
    let at = sim.run(S(60));
    let tu: Vec<_> = at.iter().filter(|(_, t)| t != ">CANCEL").cloned().collect();
    assert_eq!(tu, [(32000, "timeout".into()), (32000, "terminated".into())]);
    assert!(sim.table.is_empty());
}

#[test]
fn cancel_and_200_cross() {
    let mut sim = Sim::new(Transport::Udp);
    let (key, invite) = sim.send(Method::Invite);
    sim.reply(&invite, 180);
    sim.table.cancel(sim.now, key, None).unwrap();
    sim.told();
    assert_eq!(sim.reply(&invite, 200).0, ["response 200"]);
    assert_eq!(sim.table.cancel(sim.now, key, None), Ok(()));
    let (key, invite) = sim.send(Method::Invite);
    sim.reply(&invite, 200);
    assert_eq!(sim.table.cancel(sim.now, key, None), Err(RequestError::NothingToCancel));
}

#[test]
fn a_late_wake_up_sends_once_not_in_a_burst() {
    let mut sim = Sim::new(Transport::Udp);
    sim.send(Method::Invite);
    sim.now += S(10);
    sim.table.handle_timeout(sim.now);
    assert_eq!(sim.told(), [">INVITE"]);
    assert!(sim.table.poll_timeout().is_some_and(|at| at > sim.now));
}
