// What ALE asks of zlib, without zlib: ROM files are read as they are, and pictures are written by others. Its functions
// that would compress say that they cannot.
#pragma once

#include <cstdio>

using gzFile = std::FILE*;
using uLong = unsigned long;
using uLongf = unsigned long;

constexpr int Z_OK = 0;
constexpr int Z_STREAM_ERROR = -2;

inline gzFile gzopen(const char* path, const char* mode) { return std::fopen(path, mode); }

inline int gzread(gzFile file, void* into, unsigned length) {
  return static_cast<int>(std::fread(into, 1, length, file));
}

inline int gzclose(gzFile file) { return std::fclose(file); }

inline int compress(unsigned char*, uLongf*, const unsigned char*, uLong) { return Z_STREAM_ERROR; }

inline uLong crc32(uLong, const unsigned char*, unsigned) { return 0; }
