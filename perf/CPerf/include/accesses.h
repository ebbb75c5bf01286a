// What a thread says to the tool of valgrind's in perf/Accesses: tell of me (1), or of nobody (0).
#pragma once
#define PERF_ACCESSES_REQUEST ('K' << 24 | 'W' << 16)
