// Plain C functions over the Arcade Learning Environment's C++ interface, for crates/mpo-envs/src/atari/sys.rs.
//
// `cargo xtask setup atari` compiles this file together with ALE's own sources, which it fetches, into a library in the
// cache. Exceptions become status codes here; what ALE answers by ending the process is checked before ALE is asked.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "ale/ale_interface.hpp"
#include "ale/common/ColourPalette.hpp"
#include "ale/common/Log.hpp"
#include "ale/emucore/MD5.hxx"
#include "ale/games/Roms.hpp"

#define MPO_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// Raised with every change of a function or structure below, here and in sys.rs.
constexpr int32_t kInterface = 1;

enum Status : int32_t { kDone = 0, kFailed = 1, kUnreadable = 2, kUnknownRom = 3 };

struct Outcome {
  // Sum over the frames played.
  int32_t reward;
  int32_t lives;
  // Frames played: fewer than asked for if the game ended.
  int32_t frames;
  // Screens written: 2 if the frame before the last one asked for was played, too.
  int32_t screens;
  int32_t game_over;
};

struct Facts {
  int32_t height;
  int32_t width;
  int32_t minimal_actions;
  int32_t legal_actions;
  // ALE's numbers of the actions.
  int32_t minimal[18];
  int32_t legal[18];
  // 0xRRGGBB of each value that a screen's byte can have, and ALE's own grey of it.
  uint32_t palette[256];
  uint8_t grey[256];
  // ALE's name of the game, ended by a zero.
  char name[64];
};

struct Game {
  ale::ALEInterface ale;
  std::string state;
};

void tell(char* message, int32_t size, const std::string& text) {
  if (size > 0) std::snprintf(message, static_cast<size_t>(size), "%s", text.c_str());
}

// Runs `body`; an exception's text goes into the message.
template <typename Body>
int32_t guarded(char* message, int32_t size, Body body) {
  try {
    return body();
  } catch (const std::exception& error) {
    tell(message, size, error.what());
  } catch (...) {
    tell(message, size, "an exception without a text");
  }
  return kFailed;
}

int32_t list(const ale::ActionVect& actions, int32_t* into) {
  const size_t count = std::min<size_t>(actions.size(), 18);
  for (size_t index = 0; index < count; ++index) into[index] = static_cast<int32_t>(actions[index]);
  return static_cast<int32_t>(count);
}

}  // namespace

MPO_EXPORT int32_t mpo_ale_interface() { return kInterface; }

MPO_EXPORT const char* mpo_ale_version() { return ALE_VERSION; }

// Starts the game of a ROM file, whose contents must be one of those that ALE has rewards for.
MPO_EXPORT int32_t mpo_ale_open(const char* rom, int32_t seed, float sticky, Facts* facts, Game** opened, char* message,
                                int32_t size) {
  return guarded(message, size, [&]() -> int32_t {
    const std::filesystem::path path(rom);
    std::ifstream file(path, std::ios::binary);
    const std::vector<uint8_t> image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file.is_open() || file.bad()) {
      tell(message, size, "it cannot be read");
      return kUnreadable;
    }
    const std::string md5 = ale::stella::MD5(image.data(), static_cast<uint32_t>(image.size()));
    // ALE would take a file by its name alone; nobody's game is called this.
    const std::unique_ptr<ale::RomSettings> known(ale::buildRomRLWrapper("/", md5));
    if (known == nullptr || md5 != known->md5()) {
      tell(message, size, "its MD5 is " + md5 + ", which no game that ALE has rewards for has");
      return kUnknownRom;
    }

    ale::Logger::setMode(ale::Logger::Error);
    auto game = std::make_unique<Game>();
    game->ale.setInt("random_seed", seed);
    game->ale.setFloat("repeat_action_probability", sticky);
    game->ale.loadROM(path);
    // ALE takes the first game whose contents or name fit.
    if (std::strcmp(game->ale.romSettings->rom(), known->rom()) != 0) {
      tell(message, size, std::string("it is the game ") + known->rom() + " under another's name: rename it");
      return kUnknownRom;
    }

    const ale::ALEScreen& screen = game->ale.getScreen();
    facts->height = static_cast<int32_t>(screen.height());
    facts->width = static_cast<int32_t>(screen.width());
    facts->minimal_actions = list(game->ale.getMinimalActionSet(), facts->minimal);
    facts->legal_actions = list(game->ale.getLegalActionSet(), facts->legal);
    uint8_t bytes[256];
    for (int value = 0; value < 256; ++value) bytes[value] = static_cast<uint8_t>(value);
    auto& palette = game->ale.theOSystem->colourPalette();
    // ALE keeps the grey of each even value in the odd one after it, and takes an odd value's grey (which a PAL console's screen
    // can hold) from the even one after that. Behind 255 lies the next palette, which begins with black.
    for (int value = 0; value < 256; ++value) facts->palette[value] = palette.getRGB(value);
    palette.applyPaletteGrayscale(facts->grey, bytes, 255);
    facts->grey[255] = 0;
    std::snprintf(facts->name, sizeof facts->name, "%s", known->rom());
    *opened = game.release();
    return kDone;
  });
}

MPO_EXPORT void mpo_ale_close(Game* game) { delete game; }

// Starts an episode.
MPO_EXPORT int32_t mpo_ale_reset(Game* game, int32_t* lives, char* message, int32_t size) {
  return guarded(message, size, [&]() -> int32_t {
    game->ale.reset_game();
    *lives = game->ale.lives();
    return kDone;
  });
}

// Plays `action` for up to `frames` frames, and writes the screen after the last one played to `newest` and, if the game
// went on for as long as that, the screen one frame earlier to `before`.
MPO_EXPORT int32_t mpo_ale_act(Game* game, int32_t action, int32_t frames, uint8_t* before, uint8_t* newest,
                               Outcome* outcome, char* message, int32_t size) {
  return guarded(message, size, [&]() -> int32_t {
    const ale::ALEScreen& screen = game->ale.getScreen();
    *outcome = Outcome{};
    while (outcome->frames < frames && !outcome->game_over) {
      outcome->reward += static_cast<int32_t>(game->ale.act(static_cast<ale::Action>(action)));
      outcome->frames += 1;
      outcome->game_over = game->ale.game_over() ? 1 : 0;
      if (outcome->frames == frames - 1 && !outcome->game_over) {
        std::memcpy(before, screen.getArray(), screen.arraySize());
        outcome->screens = 1;
      }
    }
    std::memcpy(newest, screen.getArray(), screen.arraySize());
    outcome->screens += 1;
    outcome->lives = game->ale.lives();
    return kDone;
  });
}

// The screen as it is now.
MPO_EXPORT void mpo_ale_screen(const Game* game, uint8_t* newest) {
  const ale::ALEScreen& screen = game->ale.getScreen();
  std::memcpy(newest, screen.getArray(), screen.arraySize());
}

// The console's 128 bytes of memory.
MPO_EXPORT void mpo_ale_ram(const Game* game, uint8_t* bytes) {
  const ale::ALERAM& ram = game->ale.getRAM();
  std::memcpy(bytes, ram.array(), ram.size());
}

// Everything that later episodes depend on, ALE's random stream included; it stays until the next call.
MPO_EXPORT int32_t mpo_ale_save(Game* game, const char** bytes, int64_t* length, char* message, int32_t size) {
  return guarded(message, size, [&]() -> int32_t {
    game->state = game->ale.cloneState(true).serialize();
    *bytes = game->state.data();
    *length = static_cast<int64_t>(game->state.size());
    return kDone;
  });
}

MPO_EXPORT int32_t mpo_ale_restore(Game* game, const char* bytes, int64_t length, char* message, int32_t size) {
  return guarded(message, size, [&]() -> int32_t {
    game->ale.restoreState(ale::ALEState(std::string(bytes, static_cast<size_t>(length))));
    return kDone;
  });
}
