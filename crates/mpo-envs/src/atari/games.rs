//! ALE's games.

/// What is known of a game before it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GameInfo {
    /// Its name with the prefix, e.g. `atari/pong`.
    pub name: &'static str,
    /// How many of the console's 18 actions do something in it.
    pub actions: usize,
}

impl GameInfo {
    /// ALE's name of it, e.g. `pong`, which is also its ROM file's.
    #[must_use]
    pub fn bare_name(&self) -> &'static str {
        &self.name[super::PREFIX.len()..]
    }
}

const fn game(name: &'static str, actions: usize) -> GameInfo {
    GameInfo { name, actions }
}

/// Every game that ALE 0.12.1 has single-player rewards for, in alphabetical order.
#[rustfmt::skip]
pub(super) static GAMES: [GameInfo; 104] = [
    game("atari/adventure", 18), game("atari/air_raid", 6), game("atari/alien", 18), game("atari/amidar", 10),
    game("atari/assault", 7), game("atari/asterix", 9), game("atari/asteroids", 14), game("atari/atlantis", 4),
    game("atari/atlantis2", 4), game("atari/backgammon", 3), game("atari/bank_heist", 18), game("atari/basic_math", 6),
    game("atari/battle_zone", 18), game("atari/beam_rider", 9), game("atari/berzerk", 18), game("atari/blackjack", 4),
    game("atari/bowling", 6), game("atari/boxing", 18), game("atari/breakout", 4), game("atari/carnival", 6),
    game("atari/casino", 4), game("atari/centipede", 18), game("atari/chopper_command", 18),
    game("atari/crazy_climber", 9), game("atari/crossbow", 18), game("atari/darkchambers", 18),
    game("atari/defender", 18), game("atari/demon_attack", 6), game("atari/donkey_kong", 18),
    game("atari/double_dunk", 18), game("atari/earthworld", 18), game("atari/elevator_action", 18),
    game("atari/enduro", 9), game("atari/entombed", 18), game("atari/et", 18), game("atari/fishing_derby", 18),
    game("atari/flag_capture", 18), game("atari/freeway", 3), game("atari/frogger", 5), game("atari/frostbite", 18),
    game("atari/galaxian", 6), game("atari/gopher", 8), game("atari/gravitar", 18), game("atari/hangman", 18),
    game("atari/haunted_house", 18), game("atari/hero", 18), game("atari/human_cannonball", 18),
    game("atari/ice_hockey", 18), game("atari/jamesbond", 18), game("atari/journey_escape", 16),
    game("atari/kaboom", 4), game("atari/kangaroo", 18), game("atari/keystone_kapers", 14), game("atari/king_kong", 6),
    game("atari/klax", 18), game("atari/koolaid", 9), game("atari/krull", 18), game("atari/kung_fu_master", 14),
    game("atari/laser_gates", 18), game("atari/lost_luggage", 9), game("atari/mario_bros", 18),
    game("atari/miniature_golf", 18), game("atari/montezuma_revenge", 18), game("atari/mr_do", 10),
    game("atari/ms_pacman", 9), game("atari/name_this_game", 6), game("atari/othello", 10), game("atari/pacman", 5),
    game("atari/phoenix", 8), game("atari/pitfall", 18), game("atari/pitfall2", 18), game("atari/pong", 6),
    game("atari/pooyan", 6), game("atari/private_eye", 18), game("atari/qbert", 6), game("atari/riverraid", 18),
    game("atari/road_runner", 18), game("atari/robotank", 18), game("atari/seaquest", 18),
    game("atari/sir_lancelot", 6), game("atari/skiing", 3), game("atari/solaris", 18), game("atari/space_invaders", 6),
    game("atari/space_war", 18), game("atari/star_gunner", 18), game("atari/superman", 18), game("atari/surround", 5),
    game("atari/tennis", 18), game("atari/tetris", 5), game("atari/tic_tac_toe_3d", 10), game("atari/time_pilot", 10),
    game("atari/trondead", 18), game("atari/turmoil", 12), game("atari/tutankham", 8), game("atari/up_n_down", 6),
    game("atari/venture", 18), game("atari/video_checkers", 5), game("atari/video_chess", 10),
    game("atari/video_cube", 18), game("atari/video_pinball", 9), game("atari/wizard_of_wor", 10),
    game("atari/word_zapper", 18), game("atari/yars_revenge", 18), game("atari/zaxxon", 18),
];
