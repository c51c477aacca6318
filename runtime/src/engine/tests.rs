//! Batches on their way through shards and back; memory that two engines share.

use super::*;
use crate::kernels::fixture;

fn call(count: usize) -> Call {
    Call { key: 5, count, scalars: [0.0; SCALARS] }
}

#[test]
fn samples_reach_their_shards_and_come_back_in_order() {
    for threads in [1, 2] {
        let pool = Arc::new(Pool::new(threads).unwrap());
        let mut engine = Engine::new(Arc::new(fixture::echo()), pool).unwrap();
        let mut weights = Weights::zeroed(engine.program()).unwrap();
        let mut times = SectionTimes::default();
        // Three shards of two samples; each sample three steps of two numbers.
        for count in [6, 5, 1, 2, 6] {
            let x: Vec<f32> = (0..count * 6).map(|i| i as f32).collect();
            let inputs: [(&str, &[f32]); 3] = [("x", &x), ("bias", &[100.0, 200.0]), ("unused", &[])];
            let inputs = inputs.map(|(name, values)| (name, values.into()));
            engine.run(&mut weights, &call(count), &inputs, &mut times);
            let y = engine.read("y").unwrap();
            assert_eq!(y.shape(), [3, count, 2]);
            for t in 0..3 {
                for b in 0..count {
                    for i in 0..2 {
                        let expected = (b * 6 + t * 2 + i) as f32 + [100.0, 200.0][i];
                        assert_eq!(y[[t, b, i]], expected);
                        assert_eq!(engine.output_row("y", t, b).unwrap()[i], expected);
                    }
                }
            }
            let total: f32 = x.iter().sum::<f32>() + 900.0 * count as f32;
            assert_eq!(engine.scalar("total"), Some(total));
            assert_eq!(engine.read("total").unwrap().shape(), [0usize; 0]);
            let seen = engine.read("sample").unwrap();
            assert_eq!(seen.into_raw_vec_and_offset().0, (0..count).map(|b| b as f32).collect::<Vec<_>>());
        }
        assert!(times.forward > 0.0 && times.update == 0.0);
        assert!(engine.read("nothing").is_none() && engine.scalar("nothing").is_none());
    }
}

#[test]
fn the_first_data_input_has_a_stand_in_and_missing_ones_are_zero() {
    let mut engine = Engine::new(Arc::new(fixture::echo()), Arc::new(Pool::new(1).unwrap())).unwrap();
    let mut weights = Weights::zeroed(engine.program()).unwrap();
    let mut total = |inputs: &[(&str, &[f32])]| {
        let inputs: Vec<(&str, Given)> =
            inputs.iter().map(|(name, values)| (*name, Given::from(*values))).collect();
        engine.run(&mut weights, &call(2), &inputs, &mut SectionTimes::default());
        engine.scalar("total").unwrap()
    };
    assert_eq!(total(&[(INPUT, &[1.0; 12]), ("bias", &[1.0, 2.0])]), 12.0 + 18.0);
    assert_eq!(total(&[(INPUT, &[1.0; 12]), ("x", &[2.0; 12])]), 24.0);
    assert_eq!(total(&[("bias", &[1.0, 2.0])]), 18.0);
    assert_eq!(total(&[]), 0.0);
    let program = fixture::echo();
    assert_eq!(input(&program, INPUT).unwrap().name, "x");
    assert!(input(&program, "y").is_none());
}

#[test]
fn two_engines_can_take_turns_with_one_memory() {
    let pool = Arc::new(Pool::new(2).unwrap());
    let mut first = Engine::new(Arc::new(fixture::logistic::<4, 3, 2>(2)), pool.clone()).unwrap();
    let mut second = Engine::beside(Arc::new(fixture::echo()), &mut first).unwrap();
    let mut weights = Weights::zeroed(second.program()).unwrap();
    let x: Vec<f32> = (0..36).map(|i| i as f32).collect();
    second.swap_memory(&mut first);
    second.run(&mut weights, &call(6), &[("x", (&x).into())], &mut SectionTimes::default());
    assert_eq!(second.scalar("total"), Some(x.iter().sum::<f32>()));
    second.swap_memory(&mut first);
    let none = std::panic::AssertUnwindSafe(|| {
        second.run(&mut weights, &call(6), &[], &mut SectionTimes::default());
    });
    assert!(std::panic::catch_unwind(none).is_err());
}

#[test]
fn too_large_a_program_is_an_error() {
    let mut program = fixture::echo();
    program.plan.shards = 1 << 50;
    let error = Engine::new(Arc::new(program), Arc::new(Pool::new(1).unwrap())).err().unwrap();
    assert_eq!(error.code, "E0908");
}

#[test]
fn weights_copy_and_give_tensors() {
    let program = fixture::logistic::<4, 3, 2>(2);
    let mut weights = Weights::zeroed(&program).unwrap();
    let slot = program.params[0].slots[0].1;
    weights.param_mut(&program, 0)[5] = 2.0;
    weights.slot_mut(&program, slot)[1] = 3.0;
    let mut copy = weights.duplicate().unwrap();
    assert_eq!(copy.param(&program, 0)[5], 2.0);
    weights.param_mut(&program, 0)[5] = 1.0;
    copy.copy_from(&weights);
    assert_eq!((copy.param(&program, 0)[5], copy.slot(&program, slot)[1]), (1.0, 3.0));
}
