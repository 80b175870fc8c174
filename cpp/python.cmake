# The extension module pymim._core. Outside a wheel build it is written into the source tree's
# pymim/, to be imported from there; with emulated kernels into the build folder, for
# PYMIM_TEST_CORE.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
if(NOT pybind11_DIR)
  execute_process(COMMAND ${Python_EXECUTABLE} -m pybind11 --cmakedir
                  OUTPUT_VARIABLE pybind11_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
find_package(pybind11 CONFIG REQUIRED)

pybind11_add_module(_core MODULE NO_EXTRAS cpp/bindings/module.cpp)
foreach(stem IN LISTS stems)
  target_sources(_core PRIVATE cpp/bindings/${stem}.cpp)
endforeach()
target_compile_definitions(_core PRIVATE
  PYMIM_HAS_CUDA=${PYMIM_HAS_CUDA} PYMIM_EMULATE=${PYMIM_EMULATE})
target_link_libraries(_core PRIVATE pymim_core pymim_flags)
if(SKBUILD)
  install(TARGETS _core LIBRARY DESTINATION pymim)
elseif(PYMIM_EMULATE)
  set_target_properties(_core PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
else()
  set_target_properties(_core PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_SOURCE_DIR}/pymim)
endif()
