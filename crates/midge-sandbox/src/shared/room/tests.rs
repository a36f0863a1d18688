//! Who may come in, and what each of them is charged, without a guest.

use http::Request;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;

fn room(concurrency: u32, requests_max: u32) -> Rc<Room> {
    Room::new(RoomParts {
        instance: 7,
        asked: 0,
        concurrency,
        requests_max,
        pace: Arc::new(Pace::new(Instant::now() + Duration::from_secs(60))),
    })
}

/// One that asked: its seat, its vitals, and what resolves at its end.
type Visit = (Seat, Arc<Vitals>, oneshot::Receiver<()>);

fn asks(mut seat: Seat) -> Visit {
    let vitals = Arc::<Vitals>::default();
    let (head, _) = oneshot::channel();
    let question = Question {
        request: Box::new(Request::new(RequestBody::empty())),
        https: false,
        head: HeadSender::new(head, Arc::clone(&vitals)),
    };
    let asker = Asker {
        vitals: Arc::clone(&vitals),
        deadline: Instant::now() + Duration::from_secs(60),
        takes_back: None,
    };
    let (_, over) = seat.ask(question, asker);
    (seat, vitals, over)
}

/// Calls the guest for all that asked.
fn begin(room: &Room) -> Vec<u64> {
    std::iter::from_fn(|| room.next().map(|(number, _)| number)).collect()
}

fn answer(room: &Room, number: u64, vitals: &Vitals) {
    vitals.note_answered();
    room.answered(number);
}

#[test]
fn no_more_come_in_than_fit_and_those_on_their_way_count() {
    let room = room(2, 100);
    let open = OpenInstance(Rc::clone(&room));
    let first = open.seat().unwrap();
    let second = open.seat().unwrap();
    assert!(open.seat().is_none());
    drop(first);
    let third = open.seat().unwrap();
    let (second, third) = (asks(second), asks(third));
    assert!(open.seat().is_none());
    let numbers = begin(&room);
    answer(&room, numbers[0], &second.1);
    assert!(
        open.has_room(),
        "its place is free when its answer is through"
    );
    drop((second, third));
}

#[test]
fn no_more_ask_than_an_instance_may_be_asked() {
    let room = room(9, 2);
    let open = OpenInstance(Rc::clone(&room));
    let _first = asks(open.seat().unwrap());
    let second = open.seat().unwrap();
    assert!(open.seat().is_none(), "one has asked and one is on its way");
    drop(second);
    assert!(open.seat().is_some());
}

#[test]
fn who_leaves_before_the_guest_knew_leaves_no_trace() {
    let room = room(2, 100);
    let open = OpenInstance(Rc::clone(&room));
    drop(asks(open.seat().unwrap()));
    assert!(room.is_deserted() && open.has_room());
    assert!(begin(&room).is_empty());
}

#[test]
fn who_leaves_in_the_middle_closes_the_room() {
    let room = room(2, 100);
    let open = OpenInstance(Rc::clone(&room));
    let leaves = asks(open.seat().unwrap());
    let stays = asks(open.seat().unwrap());
    let numbers = begin(&room);
    drop(leaves);
    assert!(!open.has_room() && !room.is_deserted());
    answer(&room, numbers[1], &stays.1);
    room.end_answered(false);
    assert_eq!(stays.1.outcome(), Some(&Outcome::Responded));
    assert!(
        room.is_deserted(),
        "it does not wait for what the other one left"
    );
}

#[test]
fn a_bad_end_closes_the_room_before_its_owner_leaves() {
    let room = room(2, 100);
    let open = OpenInstance(Rc::clone(&room));
    let leaves = asks(open.seat().unwrap());
    leaves.1.end(Outcome::Cancelled);
    assert!(!open.has_room());
}

#[test]
fn the_last_stays_for_the_work_behind_its_response_until_another_comes() {
    let room = room(2, 100);
    let first = asks(room.seat());
    let numbers = begin(&room);
    answer(&room, numbers[0], &first.1);
    room.end_answered(false);
    assert_eq!(first.1.outcome(), None);
    let second = asks(room.seat());
    room.end_answered(false);
    assert_eq!(first.1.outcome(), Some(&Outcome::Responded));
    let numbers = begin(&room);
    answer(&room, numbers[0], &second.1);
    room.end_answered(true);
    assert_eq!(second.1.outcome(), Some(&Outcome::Responded));
    assert!(!room.is_closed(), "both were clean");
}

#[test]
fn what_nobody_is_known_to_have_used_is_paid_in_equal_parts() {
    let room = room(4, 100);
    let visits = [asks(room.seat()), asks(room.seat())];
    let leaves = asks(room.seat());
    begin(&room);
    drop(leaves.0);
    room.charge(Duration::from_millis(10), None, 3);
    let paid: Vec<_> = visits.iter().map(|visit| visit.1.cpu()).collect();
    assert_eq!(paid, [Duration::from_millis(5); 2]);
    assert_eq!(leaves.1.cpu(), Duration::ZERO);
    assert_eq!(visits[0].1.memory_peak_bytes(), 3);
    assert!(!room.is_over(Duration::from_millis(5)));
    assert!(room.is_over(Duration::from_millis(4)));
}

#[test]
fn what_ends_the_instance_ends_all_and_is_noted_first() {
    let room = room(4, 100);
    let mut visits = [asks(room.seat()), asks(room.seat())];
    room.end_all(|_, _| Outcome::NoResponse);
    for visit in &mut visits {
        assert_eq!(visit.1.outcome(), Some(&Outcome::NoResponse));
        assert_eq!(visit.2.try_recv(), Err(TryRecvError::Closed));
    }
    assert!(room.is_closed() && room.is_deserted());
}

#[test]
fn whose_answer_was_let_go_of_is_gone_and_not_answered() {
    let room = room(2, 100);
    let mut leaves = asks(room.seat());
    let stays = asks(room.seat());
    let numbers = begin(&room);
    leaves.1.end(Outcome::Cancelled);
    answer(&room, numbers[0], &leaves.1);
    assert_eq!(leaves.2.try_recv(), Err(TryRecvError::Closed));
    answer(&room, numbers[1], &stays.1);
    room.end_answered(false);
    assert_eq!(stays.1.outcome(), Some(&Outcome::Responded));
    assert!(room.is_deserted());
}
