/* The function list of a PKCS#11 token, as p11-kit declares it; the token itself is loaded at run time. */
#define CRYPTOKI_GNU 1
#include <p11-kit/pkcs11.h>
