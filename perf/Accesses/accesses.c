// A tool of valgrind's: while a thread of the program under it asks for it, a line for each of its loads and stores: which (L, S),
// the address, the octets, the instruction. As `lackey --trace-mem=yes` does, but that writes all of it, and a program that takes
// half a second to start writes ten gigabytes first. Built and run by `keyweave-perf sharing`.
#include "accesses.h"

#include "pub_tool_basics.h"

#include "pub_tool_clreq.h"
#include "pub_tool_libcassert.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_machine.h"
#include "pub_tool_threadstate.h"
#include "pub_tool_tooliface.h"

/// The thread that asked.
static ThreadId asker = VG_INVALID_THREADID;

static VG_REGPARM(3) void tell_load(Addr address, UWord size, Addr place) {
  if (asker == VG_(get_running_tid)()) VG_(printf)("L %lx %lu %lx\n", address, size, place);
}
static VG_REGPARM(3) void tell_store(Addr address, UWord size, Addr place) {
  if (asker == VG_(get_running_tid)()) VG_(printf)("S %lx %lu %lx\n", address, size, place);
}

/// Before what follows in `block`: a call that tells of an access, if `guard` (or nothing) says that it happens.
static void tell(IRSB *block, Bool is_store, IRExpr *address, Int size, Addr place, IRExpr *guard) {
  IRExpr **arguments = mkIRExprVec_3(address, mkIRExpr_HWord((HWord)size), mkIRExpr_HWord(place));
  IRDirty *call = is_store ? unsafeIRDirty_0_N(3, "tell_store", VG_(fnptr_to_fnentry)(&tell_store), arguments)
                           : unsafeIRDirty_0_N(3, "tell_load", VG_(fnptr_to_fnentry)(&tell_load), arguments);
  if (guard) call->guard = guard;
  addStmtToIRSB(block, IRStmt_Dirty(call));
}

static void tell_of(IRSB *block, const IRStmt *s, Addr place) {
  IRTypeEnv *types = block->tyenv;
  switch (s->tag) {
    case Ist_WrTmp:
      if (s->Ist.WrTmp.data->tag == Iex_Load)
        tell(block, False, s->Ist.WrTmp.data->Iex.Load.addr, sizeofIRType(s->Ist.WrTmp.data->Iex.Load.ty), place, NULL);
      break;
    case Ist_Store:
      tell(block, True, s->Ist.Store.addr, sizeofIRType(typeOfIRExpr(types, s->Ist.Store.data)), place, NULL);
      break;
    case Ist_StoreG: {
      const IRStoreG *store = s->Ist.StoreG.details;
      tell(block, True, store->addr, sizeofIRType(typeOfIRExpr(types, store->data)), place, store->guard);
      break;
    }
    case Ist_LoadG: {
      const IRLoadG *load = s->Ist.LoadG.details;
      IRType wide = Ity_INVALID, type = Ity_INVALID;
      typeOfIRLoadGOp(load->cvt, &wide, &type);
      tell(block, False, load->addr, sizeofIRType(type), place, load->guard);
      break;
    }
    case Ist_Dirty: {
      const IRDirty *helper = s->Ist.Dirty.details;
      if (helper->mFx == Ifx_Read || helper->mFx == Ifx_Modify) tell(block, False, helper->mAddr, helper->mSize, place, helper->guard);
      if (helper->mFx == Ifx_Write || helper->mFx == Ifx_Modify) tell(block, True, helper->mAddr, helper->mSize, place, helper->guard);
      break;
    }
    case Ist_CAS: {
      const IRCAS *swap = s->Ist.CAS.details;
      Int size = sizeofIRType(typeOfIRExpr(types, swap->dataLo)) * (swap->dataHi ? 2 : 1);
      tell(block, False, swap->addr, size, place, NULL);
      tell(block, True, swap->addr, size, place, NULL);
      break;
    }
    case Ist_LLSC: {
      IRExpr *stored = s->Ist.LLSC.storedata;
      IRType type = stored ? typeOfIRExpr(types, stored) : typeOfIRTemp(types, s->Ist.LLSC.result);
      tell(block, stored != NULL, s->Ist.LLSC.addr, sizeofIRType(type), place, NULL);
      break;
    }
    default: break;
  }
}

static IRSB *instrument(
    VgCallbackClosure *closure, IRSB *in, const VexGuestLayout *layout, const VexGuestExtents *extents,
    const VexArchInfo *architecture, IRType guest, IRType host) {
  (void)closure, (void)layout, (void)extents, (void)architecture;
  if (guest != host) VG_(tool_panic)("the program is of another word size");
  IRSB *out = deepCopyIRSBExceptStmts(in);
  Addr place = 0;
  for (Int i = 0; i < in->stmts_used; i++) {
    IRStmt *s = in->stmts[i];
    if (!s || s->tag == Ist_NoOp) continue;
    if (s->tag == Ist_IMark) place = s->Ist.IMark.addr;
    tell_of(out, s, place);
    addStmtToIRSB(out, s);
  }
  return out;
}

static Bool answer(ThreadId thread, UWord *request, UWord *result) {
  if (request[0] != PERF_ACCESSES_REQUEST) return False;
  asker = request[1] ? thread : VG_INVALID_THREADID;
  *result = 1;
  return True;
}

static void ready(void) {}
static void finish(Int status) { (void)status; }

static void start(void) {
  VG_(details_name)("accesses");
  VG_(details_version)(NULL);
  VG_(details_description)("tells of loads and stores, when asked to");
  VG_(details_copyright_author)("");
  VG_(details_bug_reports_to)("Keyweave");
  VG_(basic_tool_funcs)(ready, instrument, finish);
  VG_(needs_client_requests)(answer);
}

VG_DETERMINE_INTERFACE_VERSION(start)
