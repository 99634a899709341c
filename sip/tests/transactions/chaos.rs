//! Random commands and many transactions: nothing panics and nothing is left.

use super::sim::*;

#[test]
fn many_transactions_leave_nothing_behind() {
    let mut sim = Sim::new(Transport::Udp);
    let mut most = 0;
    for n in 0..20_000u32 {
        let t = text("REGISTER", &format!("z9hG4bK-{n}"))
            .replace("Call-ID: c1", &format!("Call-ID: c{n}"));
        let (key, register) = sim.incoming(&t);
        sim.answer(key, &register, 200).unwrap();
        sim.run(Duration::from_millis(10));
        most = most.max(sim.table.queued_timers());
    }
    assert!(most <= 3300, "32 s of 100 a second, but {most} timers");
    sim.run(S(40));
    assert!(sim.table.is_empty());
    assert_eq!(sim.table.queued_timers(), 0);
}

/// Each had a place in the queue of timers for 32 seconds, and a flood brings many in that time.
#[test]
fn a_flood_of_answers_without_a_transaction_leaves_no_queue_of_timers() {
    let mut sim = Sim::new(Transport::Udp);
    for n in 0..50_000u32 {
        let t = text("REGISTER", &format!("z9hG4bK-{n}"));
        let (key, register) = sim.incoming(&t);
        let remote = sim.flow.remote;
        let mut reply = Builder::reply(&mut sim.buf, &register, 401, "x", Some("tt"), remote);
        let bytes = reply.finish().unwrap();
        sim.table.respond_stateless(key, bytes).unwrap();
        assert!(sim.table.queued_timers() <= 4097, "{} timers", sim.table.queued_timers());
    }
    assert!(sim.table.is_empty());
}

/// The table of places was as long as the busiest moment for ever. A key of that time is no key of what comes later.
#[test]
fn a_rush_leaves_no_places_behind_and_its_keys_name_nothing() {
    let begin = |sim: &mut Sim, n: u32| {
        let t = text("REGISTER", &format!("z9hG4bK-{n}"))
            .replace("Call-ID: c1", &format!("Call-ID: c{n}"));
        let (key, register) = sim.incoming(&t);
        sim.answer(key, &register, 200).unwrap();
        key
    };
    let mut sim = Sim::new(Transport::Udp);
    let mut old: std::collections::HashSet<Key> = (0..20_000).map(|n| begin(&mut sim, n)).collect();
    sim.run(S(20));
    old.insert(begin(&mut sim, 20_000));
    sim.run(S(15));
    assert_eq!(sim.table.len(), 1);
    assert!(sim.table.places() > 20_000, "the last place is in use");
    sim.run(S(20));
    assert!(sim.table.is_empty());
    assert!(sim.table.places() <= 4096, "{} places", sim.table.places());
    let later: Vec<Key> = (30_000..50_000).map(|n| begin(&mut sim, n)).collect();
    assert!(later.iter().all(|key| !old.contains(key)), "a key names two transactions");
}

/// Random commands and mangled messages: nothing panics, keys end once, and in the end nothing is left.
#[test]
fn chaos_leaves_nothing_behind() {
    for seed in 0..60u8 {
        let mut sim =
            Sim::new(if seed.is_multiple_of(3) { Transport::Tcp } else { Transport::Udp });
        let mut dice = IdSource::new([seed; 32]);
        let (mut servers, mut clients) =
            (Vec::<(Key, Request)>::new(), Vec::<(Key, Request)>::new());
        let mut ended = std::collections::HashSet::new();
        for _ in 0..300 {
            let roll = dice.u64();
            let pick = (roll >> 8) as usize;
            match roll % 8 {
                0..=2 => {
                    let method =
                        ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER"][pick % 6];
                    let mut t = text(method, &format!("z9hG4bK-{}", pick / 8 % 12)).into_bytes();
                    if pick.is_multiple_of(5) {
                        let at = (pick >> 12) % t.len();
                        t[at] = (pick >> 20) as u8;
                    }
                    sim.table.receive(sim.now, sim.flow, t.into());
                }
                3 if !servers.is_empty() => {
                    let (key, request) = servers[pick % servers.len()].clone();
                    let status = [100, 180, 200, 401, 408, 486][(pick >> 10) % 6];
                    let remote = sim.flow.remote;
                    let reply =
                        Builder::reply(&mut sim.buf, &request, status, "x", Some("tt"), remote)
                            .finish();
                    if let Ok(bytes) = reply {
                        let _ = match pick % 3 {
                            0 => sim.table.respond_stateless(key, bytes),
                            _ => sim.table.respond(sim.now, key, bytes),
                        };
                    }
                }
                4 => clients.push(sim.send([Method::Invite, Method::Bye][pick % 2])),
                5 if !clients.is_empty() => {
                    let (_, request) = clients[pick % clients.len()].clone();
                    let status = [100, 180, 200, 401, 487][(pick >> 10) % 5];
                    let local = sim.flow.local;
                    let reply =
                        Builder::reply(&mut sim.buf, &request, status, "x", Some("t"), local)
                            .finish();
                    sim.table.receive(sim.now, sim.flow, reply.unwrap());
                }
                6 if !clients.is_empty() => {
                    let key = clients[pick % clients.len()].0;
                    let _ = sim.table.cancel(sim.now, key, None);
                    if pick.is_multiple_of(7) {
                        sim.table.transport_failed(key);
                    }
                }
                _ => sim.now += Duration::from_millis(pick as u64 % 3000),
            }
            sim.table.handle_timeout(sim.now);
            for output in sim.drain().1 {
                match output {
                    Output::Request { key, request, .. } => servers.push((key, request)),
                    Output::Terminated { key } => assert!(ended.insert(key), "{key:?} ended twice"),
                    _ => {}
                }
            }
        }
        sim.now += S(3700);
        sim.table.handle_timeout(sim.now);
        sim.now += S(40);
        sim.table.handle_timeout(sim.now);
        assert_eq!((sim.table.len(), sim.table.queued_timers()), (0, 0), "seed {seed}");
    }
}
