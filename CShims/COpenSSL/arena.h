/// Locked key memory for OpenSSL, used by COpenSSL.c only.
#pragma once

#include <stdbool.h>

/// True if OpenSSL's allocator was replaced before OpenSSL allocated anything.
bool arena_installed(void);

/// Reserves the arena's addresses. Once; false without address space.
bool arena_reserve(void);

/// Between these two, everything that OpenSSL allocates on this thread comes from the arena. They nest.
void key_section_enter(void);
void key_section_leave(void);
