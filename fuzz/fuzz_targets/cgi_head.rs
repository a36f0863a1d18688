//! What a command writes becomes the same head however it is cut into pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use midge_model::cgi::{Head, HeadError, HeadParser};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece_bytes, output) = input;
    let whole = parse(output, output.len().max(1));
    let pieces = parse(output, usize::from(piece_bytes).max(1));
    match (whole, pieces) {
        (Ok((whole, _)), Ok((pieces, _))) => {
            assert_eq!(
                (whole.status, &whole.headers),
                (pieces.status, &pieces.headers)
            );
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole, pieces),
        (whole, pieces) => panic!("whole: {whole:?}, in pieces: {pieces:?}"),
    }
});

/// The head, and how much of the output it took to find it.
fn parse(output: &[u8], piece_bytes: usize) -> Result<(Head, usize), HeadError> {
    let mut parser = HeadParser::default();
    for (index, piece) in output.chunks(piece_bytes).enumerate() {
        if let Some(head) = parser.push(piece)? {
            return Ok((head, (index + 1) * piece_bytes));
        }
    }
    parser.finish().map(|head| (head, output.len()))
}
