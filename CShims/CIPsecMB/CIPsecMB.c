#include "CIPsecMB.h"
