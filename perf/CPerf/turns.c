#include "CPerf.h"

#include <pthread.h>
#include <rte_config.h>

#include <rte_lcore.h>
#include <rte_memzone.h>
#include <semaphore.h>
#include <stdlib.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
void perf_note(const char *text) { VALGRIND_PRINTF("%s\n", text); }
static void note_lcore(unsigned lcore) { VALGRIND_PRINTF("lcore %u\n", lcore); }
static void note_zone(const struct rte_memzone *zone, void *user) {
  (void)user;
  VALGRIND_PRINTF("zone %lx %lx %s\n", (unsigned long)zone->addr, (unsigned long)zone->addr + zone->len, zone->name);
}
static void tell_accesses(bool on) { VALGRIND_DO_CLIENT_REQUEST_STMT(PERF_ACCESSES_REQUEST, on, 0, 0, 0, 0); }
#else
void perf_note(const char *text) { (void)text; }
static void note_lcore(unsigned lcore) { (void)lcore; }
static void note_zone(const struct rte_memzone *zone, void *user) { (void)zone, (void)user; }
static void tell_accesses(bool on) { (void)on; }
#endif

void perf_note_zones(void) { rte_memzone_walk(note_zone, NULL); }

_Alignas(64) uint64_t perf_witness;

typedef struct player {
  pthread_t thread;
  sem_t go, done;
  unsigned lcore;
  bool is_last, is_lcore, is_noted;
  perf_turn turn;
  void *user;
} player;

static void *play(void *argument) {
  player *p = argument;
  p->is_lcore = rte_thread_register() == 0;
  for (;;) {
    sem_post(&p->done);
    sem_wait(&p->go);
    if (p->is_last) break;
    if (p->is_noted) {
      note_lcore(p->lcore);
      tell_accesses(true);
    }
    perf_witness++;
    p->turn(p->lcore, p->user);
    if (p->is_noted) tell_accesses(false);
  }
  if (p->is_lcore) rte_thread_unregister();
  return NULL;
}

bool perf_take_turns(unsigned lcores, unsigned silent, unsigned noted, perf_turn turn, void *user) {
  player *players = calloc(lcores, sizeof *players);
  bool ok = players != NULL;
  unsigned count = 0;
  for (; ok && count < lcores; count++) {
    player *p = &players[count];
    *p = (player){.lcore = count, .turn = turn, .user = user};
    sem_init(&p->go, 0, 0);
    sem_init(&p->done, 0, 0);
    ok = pthread_create(&p->thread, NULL, play, p) == 0;
    if (!ok) break;
    sem_wait(&p->done);
    ok = p->is_lcore;
  }
  for (unsigned round = 0; ok && round < silent + noted; round++) {
    for (unsigned i = 0; i < lcores; i++) {
      players[i].is_noted = round >= silent;
      sem_post(&players[i].go);
      sem_wait(&players[i].done);
    }
  }
  for (unsigned i = 0; i < count; i++) {
    players[i].is_last = true;
    sem_post(&players[i].go);
    pthread_join(players[i].thread, NULL);
  }
  free(players);
  return ok;
}
