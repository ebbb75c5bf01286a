// OpenSSL keeps AES round keys and hash keys inside contexts that it allocates like anything else. So that they lie in
// memory that is never swapped out or dumped, its allocator is replaced: what a thread allocates inside a key section
// comes from a locked arena and is zeroed when freed, everything else comes from malloc. An allocation that the arena
// cannot serve fails; it never falls back to malloc.
#define _GNU_SOURCE
#include "arena.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "COpenSSL.h"

enum {
  arena_size = 256 << 20,  // addresses only: more than RLIMIT_MEMLOCK allows anywhere but on a machine made for it
  arena_step = 64 << 10,   // locked at a time
  granule = 64,            // blocks are multiples of it
  header_size = 16,        // before each block: its granules; keeps malloc's alignment of 16
  largest = 64,            // granules of the largest block; a GCM context of OpenSSL 3.0 needs 13
};

static struct {
  pthread_mutex_t lock;
  uint8_t *base;
  size_t used;       // octets from base that have ever been given out
  size_t locked;     // octets from base that are locked and accessible
  size_t allocated;  // octets in blocks that are allocated now
  void *freed[largest + 1];
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local unsigned key_section;

void key_section_enter(void) { key_section += 1; }
void key_section_leave(void) { key_section -= 1; }

// Locks the next step of the arena. It becomes accessible only when it is locked.
static bool arena_grow(void) {
  uint8_t *step = arena.base + arena.locked;
  if (arena.locked + arena_step > arena_size) return false;
  if (mprotect(step, arena_step, PROT_READ | PROT_WRITE) != 0) return false;
  if (mlock(step, arena_step) != 0) {
    mprotect(step, arena_step, PROT_NONE);
    return false;
  }
  arena.locked += arena_step;
  return true;
}

bool arena_start(void) {
  void *base = mmap(NULL, arena_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return false;
  arena.base = base;
  return madvise(base, arena_size, MADV_DONTDUMP) == 0 && madvise(base, arena_size, MADV_WIPEONFORK) == 0 &&
         arena_grow();
}

static bool in_arena(const void *memory) {
  return arena.base != NULL && (uintptr_t)memory - (uintptr_t)arena.base < arena_size;
}

static size_t *header_of(void *memory) { return (size_t *)((uint8_t *)memory - header_size); }

static void *arena_alloc(size_t size) {
  if (arena.base == NULL || size > largest * granule - header_size) return NULL;
  size_t granules = (size + header_size + granule - 1) / granule;
  pthread_mutex_lock(&arena.lock);
  uint8_t *block = arena.freed[granules];
  if (block != NULL) {
    memcpy(&arena.freed[granules], block + header_size, sizeof(void *));
    memset(block + header_size, 0, sizeof(void *));
  } else if (arena.used + granules * granule <= arena.locked || arena_grow()) {
    block = arena.base + arena.used;
    arena.used += granules * granule;
  }
  if (block != NULL) arena.allocated += granules * granule;
  pthread_mutex_unlock(&arena.lock);
  if (block == NULL) return NULL;
  *(size_t *)block = granules;
  return block + header_size;
}

static void arena_free(void *memory) {
  size_t granules = *header_of(memory);
  uint8_t *block = (uint8_t *)memory - header_size;
  explicit_bzero(block, granules * granule);
  pthread_mutex_lock(&arena.lock);
  memcpy(memory, &arena.freed[granules], sizeof(void *));
  arena.freed[granules] = block;
  arena.allocated -= granules * granule;
  pthread_mutex_unlock(&arena.lock);
}

static void *replaced_malloc(size_t size, const char *file, int line) {
  (void)file, (void)line;
  return key_section > 0 ? arena_alloc(size) : malloc(size);
}

static void replaced_free(void *memory, const char *file, int line) {
  (void)file, (void)line;
  if (memory == NULL) return;
  if (in_arena(memory)) {
    arena_free(memory);
  } else {
    free(memory);
  }
}

// What lies in the arena stays there, wherever it is resized.
static void *replaced_realloc(void *memory, size_t size, const char *file, int line) {
  if (memory == NULL) return replaced_malloc(size, file, line);
  if (!in_arena(memory)) return realloc(memory, size);
  if (size == 0) {
    arena_free(memory);
    return NULL;
  }
  size_t old = *header_of(memory) * granule - header_size;
  void *moved = arena_alloc(size);
  if (moved == NULL) return NULL;
  memcpy(moved, memory, old < size ? old : size);
  arena_free(memory);
  return moved;
}

static bool installed;

// Before main, because OpenSSL refuses another allocator once it has allocated anything.
__attribute__((constructor)) static void install(void) {
  installed = CRYPTO_set_mem_functions(replaced_malloc, replaced_realloc, replaced_free) == 1;
}

bool arena_installed(void) { return installed; }

COpenSSL_arena COpenSSL_key_arena(void) {
  pthread_mutex_lock(&arena.lock);
  COpenSSL_arena now = {.base = arena.base, .locked = arena.locked, .allocated = arena.allocated};
  pthread_mutex_unlock(&arena.lock);
  return now;
}

void *COpenSSL_key_alloc(size_t size) { return arena_alloc(size); }

void COpenSSL_key_free(void *memory) {
  if (memory != NULL) arena_free(memory);
}
