//! What is written is read back; what was damaged, misplaced or is too new is said to be so.

use tessera_codec::{Damage, decode_record, encode_record};
use tessera_domain::ids::LotId;
use tessera_domain::record::{Body, Event, Figures, Movement, Record};
use tessera_domain::time::Day;

const ENTITY: &[u8] = &[7; 22];

fn record() -> Record {
    Record {
        at: 1_780_315_200_000,
        programme: 3,
        header: u128::MAX,
        body: Body::Adjusted { wallet: 0, points: -5, reason: "counted twice".into(), allow_debt: true, write_off: false },
        events: vec![
            Event::Points(0, Movement::Expired { lot: LotId { seq: 4, n: 1 }, points: 2, at: 1_780_000_000_000 }),
            Event::Points(0, Movement::AdjustedDown { lot: LotId { seq: 9, n: 0 }, points: 3 }),
            Event::Points(0, Movement::DebtRaised { points: 2 }),
            Event::RoomUsed { wallet: 0, period: Day(20_600), points: -1 },
        ],
        after: [(0, Figures { available: 0, pending: 1, held: 0, debt: 2 })].into_iter().collect(),
        tier: 1,
    }
}

/// What can be written can be read: at every size up to the limit.
#[test]
fn the_longest_record_reads_back() {
    let expired = |n: u32| Event::Points(0, Movement::Expired { lot: LotId { seq: n, n: 0 }, points: 1, at: i64::from(n) });
    let (mut most, mut refused) = (0, false);
    for count in (0..20_000).step_by(250) {
        let mut long = record();
        long.events = (0..count).map(expired).collect();
        match encode_record(ENTITY, 12, &long) {
            Ok(bytes) => {
                assert_eq!(decode_record(ENTITY, 12, &bytes), Ok(long), "{count} events");
                most = bytes.len();
            }
            Err(_) => refused = true,
        }
    }
    assert!(most > 60_000 && refused, "the limit was met: {most}");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = encode_record(ENTITY, 12, &record()).expect("short enough").to_vec();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_record(ENTITY, 12, &flipped).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(decode_record(ENTITY, 12, &bytes[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn a_frame_in_anothers_place_is_noticed() {
    let bytes = encode_record(ENTITY, 12, &record()).expect("short enough");
    assert!(decode_record(ENTITY, 13, &bytes).is_err());
    assert!(decode_record(&[8; 22], 12, &bytes).is_err());
}

#[test]
fn a_newer_schema_is_not_called_damage() {
    let mut bytes = encode_record(ENTITY, 12, &record()).expect("short enough").to_vec();
    bytes[4] = 2;
    let body = bytes.len() - 4;
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(ENTITY), &12_u64.to_le_bytes()), &bytes[..body]);
    bytes[body..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(decode_record(ENTITY, 12, &bytes), Err(Damage::Unknown(1, 2)));
}
