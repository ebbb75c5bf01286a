#ifndef CLINUX_H
#define CLINUX_H

/// prctl(2) is variadic, which Swift cannot call: PR_SET_DUMPABLE. 0 on success.
int linux_prctl_set_dumpable(int dumpable);

/// PR_GET_DUMPABLE.
int linux_prctl_get_dumpable(void);

#endif
