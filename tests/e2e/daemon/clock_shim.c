/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For LD_PRELOAD: moves the wall clock of one process and of nobody else. The file that CLOCK_SHIM
 * names says by how many seconds it is ahead, and whether it is synchronised: "-86400 1".
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

struct shift {
  long seconds;
  int is_synchronised;
};

static struct shift read_shift(void) {
  struct shift shift = {0, 0};
  const char* path = getenv("CLOCK_SHIM");
  FILE* file = path ? fopen(path, "re") : NULL;
  if (!file) return shift;
  if (fscanf(file, "%ld %d", &shift.seconds, &shift.is_synchronised) != 2) abort();
  fclose(file);
  return shift;
}

int clock_gettime(clockid_t clock, struct timespec* to) {
  if (syscall(SYS_clock_gettime, clock, to) != 0) return -1;
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) to->tv_sec += read_shift().seconds;
  return 0;
}

time_t time(time_t* to) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (to) *to = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval* restrict to, void* restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  to->tv_sec = now.tv_sec;
  to->tv_usec = now.tv_nsec / 1000;
  return 0;
}

int adjtimex(struct timex* state) {
  if (state->modes) abort(); /* nobody is to set the host's clock */
  const int is_synchronised = read_shift().is_synchronised;
  state->status = is_synchronised ? 0 : STA_UNSYNC;
  return is_synchronised ? TIME_OK : TIME_ERROR;
}
