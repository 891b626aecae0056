//! HTTP/2: how a connection ends, and what that waits for.

use std::task::Poll;

use super::{
    frames::{EVERY_STREAM, Frame, NO_ERROR, PREFACE, pong, request, settings, settings_ack},
    http2::{Connection, Setting, body, connect, greet},
    parts::Step,
    wire::Wire,
};

fn goaway(last: u32) -> Frame {
    Frame::GoAway { last, reason: NO_ERROR }
}

impl<C: Connection> Setting<C> {
    fn goaways(&self) -> Vec<Frame> {
        self.frames().into_iter().filter(|frame| matches!(frame, Frame::GoAway { .. })).collect()
    }

    /// Acknowledges the one ping that was sent.
    fn acknowledge(&self) {
        let pings = self.frames().into_iter().filter_map(|frame| match frame {
            Frame::Ping { payload, is_ack: false } => Some(payload),
            _ => None,
        });
        let pings: Vec<_> = pings.collect();
        let [payload] = &pings[..] else { panic!("one ping: {:?}", self.frames()) };
        self.wire.send(pong(payload));
    }
}

#[test]
fn h2_says_goaway_at_once_and_names_the_last_stream_only_after_the_pong() {
    let mut setting = greet(Wire::default(), [body([]), body([])]);
    setting.wire.send(request(1, true));
    assert!(setting.settle().is_pending());
    setting.connection.as_mut().stop();
    assert!(setting.settle().is_pending());
    let [.., first, Frame::Ping { is_ack: false, .. }] = &setting.frames()[..] else {
        panic!("{:?}", setting.frames())
    };
    assert_eq!(*first, goaway(EVERY_STREAM));
    // What was under way is taken.
    setting.wire.send(request(3, true));
    assert!(setting.settle().is_pending());
    assert_eq!((setting.calls.get(), setting.goaways()), (2, vec![goaway(EVERY_STREAM)]));
    setting.acknowledge();
    assert!(setting.settle().is_pending());
    assert_eq!(setting.goaways(), [goaway(EVERY_STREAM), goaway(3)]);
    // What comes after that is not.
    setting.wire.send(request(5, true));
    assert!(setting.settle().is_pending(), "streams are open");
    assert_eq!(setting.calls.get(), 2);
    setting.latch.open();
    assert!(matches!(setting.settle(), Poll::Ready(Ok(()))));
    assert_eq!(setting.answer(5), []);
}

#[test]
fn h2_waits_for_the_pong_for_ever_though_every_stream_has_ended() {
    let mut setting = greet(Wire::default(), [body([])]);
    setting.wire.send(request(1, true));
    setting.latch.open();
    setting.connection.as_mut().stop();
    assert!(setting.settle().is_pending());
    assert!(
        matches!(setting.answer(1).last(), Some(Frame::Data { ends: true, .. })),
        "{:?}",
        setting.frames()
    );
    for _ in 0..100 {
        assert!(setting.settle().is_pending());
    }
    // A pong that nobody asked for is not it.
    setting.wire.send(pong(&[0; 8]));
    assert!(setting.settle().is_pending());
    assert_eq!((setting.goaways(), setting.wire.shut_at()), (vec![goaway(EVERY_STREAM)], None));
    setting.acknowledge();
    assert!(matches!(setting.settle(), Poll::Ready(Ok(()))));
}

#[test]
fn hyper_defers_a_shutdown_during_the_http_2_handshake_until_that_is_done() {
    for sent in [0, 10] {
        let mut setting = connect(Wire::default(), []);
        let (part, rest) = PREFACE.split_at(sent);
        setting.wire.send(part);
        assert!(setting.settle().is_pending());
        setting.connection.as_mut().stop();
        for _ in 0..100 {
            assert!(setting.settle().is_pending());
        }
        assert_eq!((setting.goaways(), setting.wire.shut_at()), (vec![], None));
        setting.wire.send([rest, &settings(), &settings_ack()].concat());
        assert!(setting.settle().is_pending());
        assert_eq!(setting.goaways(), [goaway(EVERY_STREAM)]);
        setting.acknowledge();
        assert!(matches!(setting.settle(), Poll::Ready(Ok(()))));
        assert_eq!(setting.goaways(), [goaway(EVERY_STREAM), goaway(0)]);
    }
}

#[test]
fn h2_writes_all_that_it_has_before_it_shuts_the_transport_down() {
    for bite in [1, 7, 1000] {
        let large = || body([Step::Data(&[b'x'; 20_000])]);
        let mut setting = greet(Wire::narrow(bite), [large(), large()]);
        setting.wire.send([request(1, true), request(3, true)].concat());
        setting.connection.as_mut().stop();
        assert!(setting.settle().is_pending());
        setting.acknowledge();
        setting.latch.open();
        assert!(matches!(setting.settle(), Poll::Ready(Ok(()))));
        let written = setting.wire.written().len();
        assert_eq!(setting.wire.shut_at(), Some(written), "nothing comes after it");
        for stream in [1, 3] {
            let answer = setting.answer(stream);
            let bytes = answer.iter().map(|frame| match frame {
                Frame::Data { bytes, .. } => bytes.len(),
                _ => 0,
            });
            assert_eq!(bytes.sum::<usize>(), 20_000);
            assert!(matches!(answer.last(), Some(Frame::Data { ends: true, .. })), "{answer:?}");
        }
    }
}
