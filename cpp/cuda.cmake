# Whether the CUDA kernels are built, and how. Sets PYMIM_HAS_CUDA and PYMIM_EMULATE, and defines
# pymim_add_cuda(target source).
if(PYMIM_CUDA STREQUAL "AUTO" OR PYMIM_CUDA STREQUAL "ON")
  include(CheckLanguage)
  check_language(CUDA)
endif()

set(PYMIM_EMULATE 0)
if(PYMIM_CUDA STREQUAL "EMULATE")
  set(PYMIM_HAS_CUDA 1)
  set(PYMIM_EMULATE 1)
  message(STATUS "pymim: CUDA kernels emulated on the CPU (PYMIM_CUDA=EMULATE): for tests only")
elseif(CMAKE_CUDA_COMPILER)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 90-virtual)
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  set(CMAKE_CUDA_STANDARD 17)
  set(PYMIM_HAS_CUDA 1)
  message(STATUS "pymim: CUDA kernels with "
    "${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION} for "
                 "${CMAKE_CUDA_ARCHITECTURES} (PYMIM_CUDA=${PYMIM_CUDA})")
elseif(PYMIM_CUDA STREQUAL "ON")
  message(FATAL_ERROR "pymim: PYMIM_CUDA=ON, but no nvcc was found; "
    "set CUDACXX, or build with PYMIM_CUDA=OFF")
else()
  set(PYMIM_HAS_CUDA 0)
  set(reason "PYMIM_CUDA=OFF")
  if(PYMIM_CUDA STREQUAL "AUTO")
    set(reason "no nvcc was found; PYMIM_CUDA=AUTO")
  endif()
  message(STATUS "pymim: CPU only (${reason})")
endif()

function(pymim_add_cuda target source)
  if(NOT PYMIM_HAS_CUDA)
    return()
  endif()
  target_sources(${target} PRIVATE ${source})
  if(PYMIM_EMULATE)
    # nvcc is not asked for these warnings either.
    set_source_files_properties(${source} PROPERTIES LANGUAGE CXX
      COMPILE_OPTIONS "-xc++;-Wno-conversion;-Wno-sign-compare;-Wno-unknown-pragmas")
  else()
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS --expt-relaxed-constexpr)
    target_link_libraries(${target} PRIVATE CUDA::cudart_static)
  endif()
endfunction()

if(PYMIM_EMULATE)
  add_library(pymim_emulation OBJECT
    cpp/tests/emulation/emulation.cpp cpp/tests/emulation/fiber.cpp)
  target_link_libraries(pymim_emulation PRIVATE pymim_flags)
endif()
