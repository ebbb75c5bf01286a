/// Locked key memory for OpenSSL, used by COpenSSL.c only.
#pragma once

#include <stdbool.h>

/// True if OpenSSL's allocator was replaced before OpenSSL allocated anything.
bool arena_installed(void);

/// Reserves the arena's addresses and locks its first step, once; false when that cannot be had.
bool arena_start(void);

/// Between these two, everything that OpenSSL allocates on this thread comes from the arena. They nest.
void key_section_enter(void);
void key_section_leave(void);
